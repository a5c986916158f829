"""What a protocol and the site give each other: telemetry out; calls, set points and signs of life in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from markets.grid import format_instant

Document = Mapping[str, Any]
# What an event that cannot be translated raises: keys and figures that are missing, of another kind, or beyond what a time can be.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class SiteTelemetry:
    """What the site reports for the contract of a link, at its meter.

    at                  when the oldest part of it was read, UTC
    load_mw             what is drawn now, MW
    lowest_mw           low power consumption: what is drawn with every rig asleep that answers, MW
    highest_mw          maximum power consumption: what is drawn with every rig in its fullest mode that answers, MW
    ramp_mw_per_min     how fast the load can be raised, MW a minute
    capability_mw       by product that the contract sells, what could be shed now, MW, in the order of the contract's products
    responding          whether anything answers that could be moved
    """

    at: datetime
    load_mw: float
    lowest_mw: float
    highest_mw: float
    ramp_mw_per_min: float
    capability_mw: Mapping[str, float] = field(default_factory=dict)
    responding: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a document: `refused` says why it was not accepted, empty when it was; `repeated` when it brought nothing new."""

    refused: str = ""
    repeated: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the site obeys it."""
        return not self.refused


def call_times(start: datetime | None, minutes: float | None, notice: datetime | None = None) -> dict[str, Any]:
    """The times of a call as its document has them; what is None is left out. An event of no duration lasts until its recall."""
    times = {"start_at": start, "notice_at": notice, "end_at": start + timedelta(minutes=minutes) if start and minutes else None}
    return {key: format_instant(at) for key, at in times.items() if at is not None}


class LinkFault(Exception):
    """A link cannot be used: its address cannot be listened on, its counterparty refuses it, a part is not installed. Says what to do."""


class SiteSide(Protocol):
    """The site, as a protocol reaches it."""

    def heard(self) -> None:
        """The counterparty gave a sign of life."""
        ...

    def receive(self, documents: Sequence[Document]) -> list[Answer]:
        """Calls as documents (docs/reference/http.md), all accepted or none."""
        ...

    def open_ids(self) -> set[str]:
        """The ids of the calls of this link that have neither ended nor been taken back."""
        ...

    def set_point(self, mw: float) -> Answer:
        """The load that is wanted from now on until the next set point, MW. The same value again changes nothing."""
        ...

    def release(self) -> Answer:
        """End the set point in force: the plan decides again."""
        ...

    def standing_mw(self) -> float | None:
        """The set point in force, MW; None when there is none."""
        ...

    def telemetry(self) -> SiteTelemetry | None:
        """The newest telemetry; None before the first."""
        ...

    def telemetry_age_s(self) -> float | None:
        """How long ago the oldest part of it was read, seconds."""
        ...


class Link(Protocol):
    """One protocol at one address."""

    async def run(self, site: SiteSide) -> None:
        """Speak the protocol until cancelled. Raises LinkFault when that is not possible now; it is tried again later."""
        ...
