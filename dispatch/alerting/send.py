"""Messages by webhook, mail, chat or any other way that apprise has; that of a day's new statement among them.

An address holds a token or a password. The site file has only a reference to it, and neither it nor a part of it is ever logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from dispatch.reports import labels
from dispatch.rigs.secrets import secret
from dispatch.settlement.document import DayStatement
from optimizer.domain.money import usd_text

log = structlog.get_logger()

# Libraries whose own log messages contain addresses.
LOG_ADDRESSES = ("apprise", "urllib3")


def send(title: str, body: str, references: Sequence[str], resolve: Callable[[str], Path]) -> dict[str, str | None]:
    """Send a message to every address. Returns, by reference, None where it was taken and the reason where it was not, which is logged too;
    the other addresses still get theirs."""
    outcomes = {reference: _sent(reference, title, body, resolve) for reference in references}
    for reference, reason in outcomes.items():
        if reason is not None:
            log.error(f"Notification not sent{reason}", reference=reference)
    return outcomes


def send_statement(statement: DayStatement, references: Sequence[str], resolve: Callable[[str], Path]) -> None:
    """Send a message about a statement to every address."""
    send(*message(statement), references, resolve)


def message(statement: DayStatement) -> tuple[str, str]:
    """Title and text: what a reader must know first, what was earned, what changed since the version before, and what to do."""
    title = f"{statement['site']}, {statement['date']}: {usd_text(statement['net_usd'])}"
    lines = [*labels.flags(statement), *statement["narrative"]["earned"]]
    if delta := statement["delta"]:
        lines.append(f"Version {statement['version']}: {usd_text(delta['net_usd'])} compared with version {delta['version']}.")
    return title, "\n".join([*lines, "", "Actions:", *(f"- {text}" for text in labels.listed(statement["narrative"]["actions"]))])


def _sent(reference: str, title: str, body: str, resolve: Callable[[str], Path]) -> str | None:
    """None when the message was taken, else the reason why not, without any part of the address."""
    try:
        address = secret(reference, resolve).strip()
    except (KeyError, OSError, ValueError):
        return ": the reference to its address cannot be read."
    from apprise import Apprise, NotifyFormat  # half a second, which only those who send pay

    for library in LOG_ADDRESSES:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    try:
        service = Apprise()
        if not service.add(address):
            return ". apprise does not recognize the address."
        sent = service.notify(body=body, title=title, body_format=NotifyFormat.TEXT)
        return None if sent else ". The notification service rejected the message."
    except Exception as error:  # the text of a plug-in's error may contain the address
        return f". Sending it failed with {type(error).__name__}."
