"""Which conditions are sent to people, and when: each once, after it has lasted, and once more when it has ended. Pure.

A condition that comes and goes within its time is never sent. Its text may change from minute to minute; it is sent again only after it
ended. In quiet hours only urgent ones are sent; the others follow at their end, if they are still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from dispatch.alerting.conditions import AlertCondition
from dispatch.site_file.setup import AlertSettings
from markets import counted


@dataclass(frozen=True, slots=True)
class KnownCondition:
    """A condition as it is known: since when, its newest text, whether it was sent, and since when it is gone (None while it lasts)."""

    since: datetime
    text: str
    urgent: bool
    sent: bool = False
    gone_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: what began and what ended, by source."""

    began: Mapping[str, str]
    ended: Mapping[str, str]

    def title(self, site: str) -> str:
        parts = [counted(len(self.began), "alert")] if self.began else []
        parts += [f"{len(self.ended)} ended"] if self.ended else []
        return f"{site}: {', '.join(parts)}"

    def body(self) -> str:
        began = [f"{source}: {text}" for source, text in self.began.items()]
        return "\n".join([*began, *(f"ended: {source} (was: {text})" for source, text in self.ended.items())])


def watched_now(before: Mapping[str, KnownCondition], found: Mapping[str, AlertCondition], at: datetime) -> dict[str, KnownCondition]:
    """What is watched after a look at `at`: what is there, and what was sent and is gone, until its end is sent too."""
    gone = {source: known for source, known in before.items() if source not in found and known.sent}
    return _here(before, found, at) | {source: replace(known, gone_since=known.gone_since or at) for source, known in gone.items()}


def watched_unknown(before: Mapping[str, KnownCondition], found: Mapping[str, AlertCondition], at: datetime) -> dict[str, KnownCondition]:
    """What is watched while nothing is known of the site but `found`: whatever was known stays as it was, and nobody says that it ended."""
    return {**before, **_here(before, found, at)}


def _here(before: Mapping[str, KnownCondition], found: Mapping[str, AlertCondition], at: datetime) -> dict[str, KnownCondition]:
    now: dict[str, KnownCondition] = {}
    for source, condition in found.items():
        known = before.get(source)
        since, sent = (known.since, known.sent) if known else (at, False)
        now[source] = KnownCondition(since, condition.text, condition.urgent, sent)
    return now


def notice_due(watched: Mapping[str, KnownCondition], at: datetime, local: datetime, settings: AlertSettings) -> Notice | None:
    """What is to be sent at `at`, whose local time is `local`; None when nothing is."""
    quiet = settings.is_quiet(local)
    began = {
        source: w.text
        for source, w in watched.items()
        if not w.sent and w.gone_since is None and (at - w.since).total_seconds() >= settings.after_s and (w.urgent or not quiet)
    }
    ended = {
        source: w.text
        for source, w in watched.items()
        if w.sent and w.gone_since is not None and (at - w.gone_since).total_seconds() >= settings.clear_s and (w.urgent or not quiet)
    }
    return Notice(began, ended) if began or ended else None


def after_sending(watched: Mapping[str, KnownCondition], notice: Notice) -> dict[str, KnownCondition]:
    """What is watched once the notice was sent."""
    return {source: replace(w, sent=True) if source in notice.began else w for source, w in watched.items() if source not in notice.ended}
