"""Time: intervals and grids in UTC; operating days, hour-ending labels and daylight saving are handled only here.

Market rules: docs/rules.md#time-and-settlement-intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray


class Market(StrEnum):
    """Who sets the price: an ISO, or a utility's tariff."""

    ERCOT = "ercot"
    MISO = "miso"
    TARIFF = "tariff"

    @property
    def tz(self) -> tzinfo:
        """Prevailing Central time for ERCOT; MISO keeps EST (UTC-5) all year (BPM-005); a tariff uses Central time unless its file names
        another zone."""
        return timezone(timedelta(hours=-5), "EST") if self is Market.MISO else ZoneInfo("America/Chicago")

    @property
    def settlement_min(self) -> int:
        """Length of the interval that real-time energy settles on, minutes (ERCOT Protocols 6.6.1; MISO hourly meters are split to 5)."""
        return {Market.ERCOT: 15, Market.MISO: 5, Market.TARIFF: 15}[self]


def utc(at: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError when `at` carries no offset."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no UTC offset: write Z or +hh:mm")
    return at.astimezone(UTC)


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant with offset, as UTC. Raises ValueError that says what is wrong with the text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 instant such as 2026-08-20T16:00:00Z") from None
    return utc(at)


def format_instant(at: datetime) -> str:
    """An instant as ISO 8601 in UTC, to the second: "2026-08-20T16:00:00Z"."""
    return f"{utc(at):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open span of time [start, end), both in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is not UTC or self.end.tzinfo is not UTC:
            object.__setattr__(self, "start", utc(self.start))
            object.__setattr__(self, "end", utc(self.end))
        if self.end <= self.start:
            raise ValueError(f"interval ends at {self.end.isoformat()}, not after its start {self.start.isoformat()}")

    @property
    def hours(self) -> float:
        """Its length in hours."""
        return (self.end - self.start).total_seconds() / 3600.0

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end

    def overlaps(self, other: Interval) -> bool:
        """Whether the two spans share any time."""
        return self.start < other.end and other.start < self.end


class Grid:
    """Consecutive intervals, not necessarily of one length: `edges` are n+1 ascending epoch seconds, UTC."""

    def __init__(self, edges: NDArray[np.int64]) -> None:
        edges = np.array(edges, dtype=np.int64)
        if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError("a grid needs at least two edges, each after the one before")
        edges.flags.writeable = False
        self.edges = edges

    @classmethod
    def regular(cls, start: datetime, end: datetime, minutes: int) -> Grid:
        """Intervals of `minutes` from start until end; the last one is cut at end."""
        first, last, step = int(utc(start).timestamp()), int(utc(end).timestamp()), minutes * 60
        edges = np.arange(first, last, step, dtype=np.int64)
        return cls(np.append(edges, last))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and np.array_equal(self.edges, other.edges)

    def __hash__(self) -> int:
        return hash(self.edges.tobytes())

    def __repr__(self) -> str:
        return f"Grid({self.start:%Y-%m-%dT%H:%MZ}..{self.end:%Y-%m-%dT%H:%MZ}, {len(self)})"

    @cached_property
    def hours(self) -> NDArray[np.float64]:
        """Length of each interval, hours, shape (n,)."""
        hours = np.diff(self.edges) / 3600.0
        hours.flags.writeable = False
        return hours

    @property
    def start(self) -> datetime:
        """The start of the first interval, UTC."""
        return datetime.fromtimestamp(int(self.edges[0]), UTC)

    @property
    def end(self) -> datetime:
        """The end of the last interval, UTC."""
        return datetime.fromtimestamp(int(self.edges[-1]), UTC)

    @property
    def over(self) -> Interval:
        """The whole span."""
        return Interval(self.start, self.end)

    @cached_property
    def intervals(self) -> tuple[Interval, ...]:
        """Its intervals in order."""
        stamps = [datetime.fromtimestamp(int(e), UTC) for e in self.edges]
        return tuple(Interval(a, b) for a, b in zip(stamps, stamps[1:], strict=False))

    def index(self, at: datetime) -> int:
        """The position of the interval that holds `at`. Raises KeyError outside the grid."""
        stamp = utc(at).timestamp()
        if not self.edges[0] <= stamp < self.edges[-1]:
            raise KeyError(f"{at.isoformat()} is outside {self!r}")
        return int(np.searchsorted(self.edges, stamp, side="right")) - 1

    def share_within(self, over: Interval) -> NDArray[np.float64]:
        """The share of each interval that lies inside `over`, 0..1, shape (n,)."""
        first, last = over.start.timestamp(), over.end.timestamp()
        inside = np.minimum(self.edges[1:], last) - np.maximum(self.edges[:-1], first)
        share: NDArray[np.float64] = np.clip(inside, 0, None) / np.diff(self.edges)
        return share


@dataclass(frozen=True, slots=True)
class OperatingDay:
    """One market day: 92, 96 or 100 quarter hours in ERCOT (prevailing Central), always 96 in MISO (EST)."""

    market: Market
    on: date

    @classmethod
    def of(cls, market: Market, at: datetime) -> OperatingDay:
        """The operating day that holds the instant."""
        return cls(market, utc(at).astimezone(market.tz).date())

    @property
    def start(self) -> datetime:
        """Midnight on the market's clock, in UTC."""
        return datetime.combine(self.on, time(), self.market.tz).astimezone(UTC)

    @property
    def end(self) -> datetime:
        """The next midnight on the market's clock, in UTC."""
        return datetime.combine(self.on + timedelta(days=1), time(), self.market.tz).astimezone(UTC)

    @property
    def over(self) -> Interval:
        """From midnight to midnight."""
        return Interval(self.start, self.end)

    def grid(self, minutes: int | None = None) -> Grid:
        """The day's intervals, of the market's settlement length unless `minutes` is given."""
        return Grid.regular(self.start, self.end, minutes or self.market.settlement_min)


@lru_cache(maxsize=64)
def days(market: Market, grid: Grid) -> tuple[date, ...]:
    """The operating day that holds each interval's start, shape (n,)."""
    out: list[date] = []
    day = OperatingDay.of(market, grid.start)
    while len(out) < len(grid):
        reached = int(np.searchsorted(grid.edges[:-1], int(day.end.timestamp()), side="left"))
        out += [day.on] * (reached - len(out))
        day = OperatingDay(market, day.on + timedelta(days=1))
    return tuple(out)


def months(market: Market, grid: Grid) -> NDArray[np.int64]:
    """The calendar month on the market's clock that holds each interval's start, as 12 x year + month - 1, shape (n,)."""
    return np.array([12 * on.year + on.month - 1 for on in days(market, grid)], dtype=np.int64)


def month_span(market: Market, month: int) -> Interval:
    """A month as `months` counts it, from midnight to midnight on the market's clock."""
    first = OperatingDay(market, date(month // 12, month % 12 + 1, 1))
    after = OperatingDay(market, date((month + 1) // 12, (month + 1) % 12 + 1, 1))
    return Interval(first.start, after.start)


def hour_ending(market: Market, at: datetime) -> str:
    """The market's label of the hour that holds `at`: "HE01".."HE24", with "*" on the second pass of a fall-back hour (DSTFlag Y)."""
    local = utc(at).astimezone(market.tz)
    repeated = local.fold == 1 and local.replace(fold=0).utcoffset() != local.utcoffset()
    return f"HE{local.hour + 1:02d}{'*' if repeated else ''}"


def interval_label(market: Market, over: Interval) -> str:
    """Hour ending and the end of the interval within it on the market's clock, for example "HE18 17:15-17:30"."""
    start, end = over.start.astimezone(market.tz), over.end.astimezone(market.tz)
    return f"{hour_ending(market, over.start)} {start:%H:%M}-{end:%H:%M}"
