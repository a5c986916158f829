"""The desk's messages in the words of a protocol: each goes through the same translation that the link of that protocol uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pymodbus.client import AsyncModbusTcpClient

from dispatch.rehearsal.scenarios import EVENTS, SET_POINTS, Message
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.signals.links.modbus import FLOAT, written_mw
from dispatch.signals.links.openadr2 import EventTerms, NotSupported, calls_of
from markets.grid import format_instant

KW = 1000.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A message with the scenario's own event id, its instants and its megawatts."""

    message: Message
    id: str
    sent_at: datetime
    start: datetime | None
    end: datetime | None
    mw: float | None
    obligation: str


class DeskProtocol(Protocol):
    """How a desk says a message to a site. `speaks` are the scenarios it can say."""

    @property
    def name(self) -> str: ...

    @property
    def speaks(self) -> tuple[str, ...]: ...

    def send(self, timed: Timed, site: LinkedSite) -> bool:
        """Say it once. Returns whether the site accepted it."""
        ...


class Documents:
    """Calls as JSON documents, as over HTTP, the webhook, the command line and the watched folder."""

    name, speaks = "documents", (EVENTS, "documents", SET_POINTS)

    def send(self, timed: Timed, site: LinkedSite) -> bool:
        message = timed.message
        if message.kind == "set_point":
            return timed.mw is not None and site.set_point(timed.mw).accepted
        if message.kind == "release":
            return site.release().accepted
        document: dict[str, Any] = {"id": timed.id, "obligation": timed.obligation, "kind": message.kind, "version": message.version}
        document["mw_delta" if message.reduce else "mw_cap"] = timed.mw
        times = {"start_at": timed.start, "end_at": timed.end, "notice_at": timed.sent_at}
        document |= {key: format_instant(at) for key, at in times.items() if at is not None and message.kind in ("deploy", "test")}
        return site.receive([{key: value for key, value in document.items() if value is not None}])[0].accepted


@dataclass(slots=True)
class OpenAdr2:
    """Events of OpenADR 2.0b, as a VTN distributes them; the VTN counts an event's modifications."""

    name: str = "OpenADR 2.0b"
    speaks: tuple[str, ...] = (EVENTS,)
    _sent: dict[str, tuple[Timed, int]] = field(default_factory=dict)

    def send(self, timed: Timed, site: LinkedSite) -> bool:
        try:
            calls = calls_of(self._event(timed), EventTerms(timed.obligation, 1.0 / KW), site.open_ids())
        except NotSupported:
            return False
        return all(answer.accepted for answer in site.receive(calls)) if calls else True

    def _event(self, timed: Timed) -> Mapping[str, Any]:
        """The event as it is now. A message with a version is sent with its number, also behind a newer one."""
        before, number = self._sent.get(timed.id, (timed, -1))
        ends = timed.message.kind in ("recall", "cancel")
        shown = before if ends else timed
        if timed.message.version is not None:
            number = timed.message.version - 1
        elif ends or before.message is not timed.message:
            number = number + 1 if ends or _asks(before) != _asks(timed) or number < 0 else number
        self._sent[timed.id] = (shown, max(number, 0))
        start = shown.start or shown.sent_at
        seconds = (shown.end - start).total_seconds() if shown.end else 0.0
        kind = "delta" if shown.message.reduce else "setpoint"
        interval = {"dtstart": format_instant(start), "duration": seconds, "signal_payload": (shown.mw or 0.0) * KW}
        head = {"event_id": timed.id, "modification_number": max(number, 0), "event_status": "cancelled" if ends else "active"}
        return {
            "event_descriptor": {**head, "test_event": "true" if shown.message.kind == "test" else "false"},
            "event_signals": [{"signal_name": "LOAD_DISPATCH", "signal_type": kind, "intervals": [interval]}],
        }


def _asks(timed: Timed) -> tuple[Any, ...]:
    return timed.mw, timed.start, timed.end


class Modbus:
    """Set points as the words of two registers, and a coil that is switched off."""

    name, speaks = "Modbus", (SET_POINTS,)

    def send(self, timed: Timed, site: LinkedSite) -> bool:
        if timed.message.kind == "release":
            return site.release().accepted
        words = AsyncModbusTcpClient.convert_to_registers(timed.mw or 0.0, FLOAT)
        return site.set_point(written_mw(words)).accepted


def protocols() -> tuple[DeskProtocol, ...]:
    """Every protocol that a rehearsal speaks."""
    return Documents(), OpenAdr2(), Modbus()
