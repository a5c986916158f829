"""Notify: a word to people when a day's statement has a new version, by webhook, mail or whatever else apprise speaks (extra `notify`).

An address holds a token or a password: it comes by reference, and neither it nor a part of it is ever logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from dispatch.reports import labels
from dispatch.rigs.secrets import secret

log = structlog.get_logger()

# Libraries on the way whose own messages name addresses.
TELL_ADDRESSES = ("apprise", "urllib3")


def notified(document: Mapping[str, Any], references: Sequence[str], resolve: Callable[[str], Path]) -> None:
    """Tell every address about a statement. What fails is logged by its reference, and the others are told."""
    title, body = word(document)
    for reference in references:
        try:
            address = secret(reference, resolve).strip()
        except (KeyError, OSError, ValueError):
            log.error("nobody was notified: the reference cannot be read", reference=reference)
            continue
        if fault := _sent(address, title, body):
            log.error(f"nobody was notified: {fault}", reference=reference)


def word(document: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text: what a reader must know first, what was earned, what changed, and what needs a person."""
    title = f"{document['site']}, {document['date']}: {labels.usd(document['net_usd'])} $"
    said = [*labels.flags(document), *document["story"]["earned"]]
    if document["delta"]:
        moved, before = labels.usd(document["delta"]["net_usd"]), document["delta"]["version"]
        said.append(f"Version {document['version']}: {moved} $ against version {before}.")
    return title, "\n".join([*said, "", "What needs a person:", *(f"- {text}" for text in document["story"]["person"])])


def _sent(address: str, title: str, body: str) -> str | None:
    """None when it went out, else why not, in words that hold nothing of the address."""
    try:
        from apprise import Apprise, NotifyFormat
    except ImportError:
        return "apprise is not installed: it is the extra `notify` of this distribution"
    for library in TELL_ADDRESSES:
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    try:
        service = Apprise()
        if not service.add(address):
            return "the address is none that apprise understands"
        return None if service.notify(body=body, title=title, body_format=NotifyFormat.TEXT) else "the other side did not take it"
    except Exception as fault:  # whatever a plug-in raises may hold the address
        return f"{type(fault).__name__} on the way"
