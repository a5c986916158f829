"""Sources of facts as a running site asks them: when, since when, and what became of the last request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import structlog

from dispatch.decide.state import State
from dispatch.runtime.history import facts_before
from markets import SourceError
from markets.facts import Fact
from markets.sources.source import Source

log = structlog.get_logger()

FIRST_LOOK_BACK = timedelta(days=2)  # how far back a first start asks its sources: yesterday's prices stand in for tomorrow's
FINDINGS_SHOWN_FOR = timedelta(hours=6)  # how long a finding of a source is shown among the alerts
FINDINGS_SHOWN = 5


@dataclass(slots=True)
class PolledSource:
    """A source of facts and how it is asked.

    period_s       seconds of the world's clock between two requests, where the source does not say when the next one is due
    in_background  asked beside the loop, because an answer takes time; at the tick itself otherwise
    wakes_loop     asked at ticks, it answers for any instant, and the loop ticks when it will know something new
    asked_until    up to when it was asked; None before the first request
    answered       whether it has answered
    pending        facts that the next observation takes in
    offered        facts that the last observation took in; the next one takes them in again when that one was not recorded
    failure        what went wrong with the last request; empty when it was answered
    remarks        its recent findings, each with when it was made
    """

    source: Source
    period_s: float = 60.0
    in_background: bool = False
    wakes_loop: bool = True
    asked_until: datetime | None = None
    answered: bool = False
    pending: list[Fact] = field(default_factory=list)
    offered: list[Fact] = field(default_factory=list)
    failure: str = ""
    remarks: list[tuple[datetime, str]] = field(default_factory=list)

    def recent_findings(self, at: datetime) -> str:
        """The findings of a live source of the last hours, newest last; they are removed from its `findings`."""
        findings = getattr(self.source, "findings", None)
        while findings:
            self.remarks.append((at, findings.popleft()))
        self.remarks = [(when, text) for when, text in self.remarks if at - when < FINDINGS_SHOWN_FOR][-FINDINGS_SHOWN:]
        return "; ".join(text for _, text in self.remarks)

    def facts_to_record(self, *, recorded: bool) -> list[Fact]:
        """What the source brought since the last observation, and before it what that one took in when it was not recorded. A source that
        is asked at ticks is asked for that again instead."""
        again = self.offered if self.in_background and not recorded else ()
        self.offered = [*again, *self.pending]
        self.pending = []
        return self.offered

    def next_request_at(self, now: datetime) -> datetime:
        """When a source in the background is asked again: when it says that something is due, else a period later."""
        due = getattr(self.source, "next_request_at", None)
        return due(now) if due is not None else now + timedelta(seconds=self.period_s)

    async def known_between(self, after: datetime, before: datetime) -> Sequence[Fact]:
        """What the source will come to know in (after, before]; nothing where it cannot say or fails."""
        if not self.wakes_loop:
            return ()
        try:
            return await self.source.fetch(after, before)
        except Exception:  # the tick at which it is asked reports it
            return ()

    def asked_since(self, state: State | None, until: datetime) -> datetime:
        """The instant from which a request is to answer, so that nothing of a request that failed, nor of an observation that could not be
        recorded, is lost."""
        began = until - FIRST_LOOK_BACK
        if self.in_background or state is None or state.seen_at is None:
            return self.asked_until or began
        if self.asked_until is None:
            return began if self.source.name in state.alerts else state.seen_at
        return min(self.asked_until, state.seen_at)


async def poll(polled: PolledSource, until: datetime, state: State | None) -> Sequence[Fact]:
    """Ask a source once; what it brought. A failure is kept until the next answer, whatever it is: a source that breaks must not keep the
    others from being heard. It is logged once, and its end once."""
    since = polled.asked_since(state, until)
    if since > until:  # the clock was set back: what was known then is known, and the source is asked as if it were just due
        since = until - timedelta(seconds=polled.period_s)
    try:
        brought = await _ask(polled, since, until, state) if until > since else ()
    except Exception as fault:
        if not polled.failure:
            known = isinstance(fault, SourceError)
            log.warning("source failed", source=polled.source.name, error=str(fault), kind=type(fault).__name__, exc_info=not known)
        polled.failure = f"{type(fault).__name__}: {fault}"
        polled.asked_until = polled.asked_until or since
        return ()
    polled.pending += brought
    polled.answered = polled.answered or until > since
    polled.asked_until = until
    if polled.failure:
        log.info("source recovered", source=polled.source.name)
    polled.failure = ""
    return brought


async def _ask(polled: PolledSource, since: datetime, until: datetime, state: State | None) -> Sequence[Fact]:
    """What became known to a source in (since, until], and in its first answer also what the state lacks of the month before. Raises
    SourceError for an answer with a figure that is NaN or infinite: it is refused as a whole."""
    if state is None or polled.answered:
        brought = await polled.source.fetch(since, until)
    else:
        brought = await facts_before(polled.source, state.setup, (since, until), state.facts.loads)
    for fact in brought:
        if (name := next((f.name for f in fields(fact) if not _finite(getattr(fact, f.name))), None)) is not None:
            raise SourceError(f"{polled.source.name}: {name} of a {type(fact).__name__} is not a number: the whole answer is refused")
    return brought


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return not isinstance(value, tuple) or all(map(_finite, value))
