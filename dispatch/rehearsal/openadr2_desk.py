"""A desk that distributes OpenADR 2.0b events.

They are translated by the link's own translation, in this process: its VEN is another process that polls by the wall's clock, which cannot
follow a clock that jumps. The VEN itself is tested against another maker's VTN in real time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dispatch.rehearsal.desk_protocols import Timed
from dispatch.rehearsal.scenarios import EVENTS, NUMBERED
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.signals.links.openadr2 import EventTerms, NotSupported, calls_of
from markets.grid import format_instant

KW = 1000.0


class OpenAdr2Desk:
    """Events as a VTN distributes them; it counts an event's modifications."""

    name, carried, speaks = "OpenADR 2.0b", "the link's translation, without a socket", (EVENTS, NUMBERED)

    @asynccontextmanager
    async def reach(self, site: LinkedSite) -> AsyncIterator[_OpenAdr2End]:
        """A desk in this process."""
        yield _OpenAdr2End(site)


@dataclass(slots=True)
class _OpenAdr2End:
    site: LinkedSite
    _sent: dict[str, tuple[Timed, int]] = field(default_factory=dict)

    async def send(self, timed: Timed) -> bool:
        try:
            calls = calls_of(self._event(timed), EventTerms(timed.obligation, 1.0 / KW), self.site.open_ids())
        except NotSupported:
            return False
        return all(answer.accepted for answer in self.site.receive(calls)) if calls else True

    async def sign_of_life(self) -> None:
        self.site.heard()

    async def end_all(self) -> None:
        for id_ in self.site.open_ids():
            self.site.receive([{"id": id_, "obligation": self.site.settings.obligation, "kind": "recall"}])

    def _event(self, timed: Timed) -> Mapping[str, Any]:
        """The event as it is now. A message with a version is sent with its number, also behind a newer one."""
        before, number = self._sent.get(timed.id, (timed, -1))
        ends = timed.message.kind in ("recall", "cancel")
        shown = before if ends else timed
        if shown.mw is None:
            raise NotSupported(f"event {timed.id} names no load")
        if timed.message.version is not None:
            number = timed.message.version - 1
        elif ends or before.message is not timed.message:
            number = number + 1 if ends or _asks(before) != _asks(timed) or number < 0 else number
        self._sent[timed.id] = (shown, max(number, 0))
        start = shown.start or shown.sent_at
        seconds = (shown.end - start).total_seconds() if shown.end else 0.0
        kind = "delta" if shown.message.reduce else "setpoint"
        interval = {"dtstart": format_instant(start), "duration": seconds, "signal_payload": shown.mw * KW}
        head = {"event_id": timed.id, "modification_number": max(number, 0), "event_status": "cancelled" if ends else "active"}
        return {
            "event_descriptor": {**head, "test_event": "true" if shown.message.kind == "test" else "false"},
            "event_signals": [{"signal_name": "LOAD_DISPATCH", "signal_type": kind, "intervals": [interval]}],
        }


def _asks(timed: Timed) -> tuple[Any, ...]:
    return timed.mw, timed.start, timed.end
