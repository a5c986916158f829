"""A frame is a table of one feed's rows. It is checked against its shape and accepted or refused as a whole. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from markets import Refused, counted
from markets.grid import Grid, Interval, Market
from markets.quarantine.plausible import price_cap


class FrameRow(NamedTuple):
    """One value: [start_s, end_s) in epoch seconds UTC, of a point (or product), in the feed's own unit."""

    start_s: int
    end_s: int
    point: str
    value: float

    @property
    def over(self) -> Interval:
        """The interval as instants in UTC."""
        return Interval(datetime.fromtimestamp(self.start_s, UTC), datetime.fromtimestamp(self.end_s, UTC))


class ImplausiblePrice(Refused):
    """A frame with values outside what the market's rules allow. `rows` are those values, so that a second source can confirm them."""

    def __init__(self, text: str, rows: Sequence[FrameRow]) -> None:
        super().__init__(text)
        self.rows = tuple(rows)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a frame must look like.

    points     every interval must hold each of these; rows of other points are dropped
    length_s   each interval is exactly this long and starts on a multiple of it
    low, high  bounds of a value; high None means `price_cap` on the interval's date
    grid       when given, exactly these intervals: 92, 96 or 100 quarter hours of an ERCOT day, 24 hours or 288 five minutes of a MISO day
    market     whose price cap holds
    """

    points: frozenset[str]
    length_s: int
    low: float
    high: float | None = None
    grid: Grid | None = None
    market: Market = Market.ERCOT


def accept(raw: Iterable[Any], shape: Shape, confirmed: Mapping[tuple[int, str], float] | None = None) -> list[FrameRow]:
    """The frame's rows, sorted by start and point. Raises Refused when one of them cannot be true, and then keeps none of them.

    `confirmed` holds values by (start_s, point) from another source: an implausible value that both sources give is accepted.
    """
    rows = [row for row in map(_row, raw) if row.point in shape.points]
    if not rows:
        raise Refused("the frame is empty")
    _lengths(rows, shape.length_s)
    _increasing(rows)
    _complete(rows, shape)
    _bounds(rows, shape, confirmed or {})
    return sorted(rows)


def _row(raw: Any) -> FrameRow:
    try:
        start, end, point, value = raw
        row = FrameRow(int(start), int(end), str(point), float(value))
    except (TypeError, ValueError):
        raise Refused(f"a row is not start, end, point and number: {str(raw)[:120]}") from None
    if not math.isfinite(row.value):
        raise Refused(f"{row.point} at {_at(row.start_s)} is {row.value}, not a number")
    return row


def _lengths(rows: Sequence[FrameRow], length_s: int) -> None:
    for row in rows:
        if row.end_s - row.start_s != length_s or row.start_s % length_s:
            raise Refused(f"{row.point}: {_at(row.start_s)} to {_at(row.end_s)} is not an interval of {length_s // 60} minutes")


def _increasing(rows: Sequence[FrameRow]) -> None:
    last: dict[str, int] = {}
    for row in rows:
        before = last.get(row.point)
        if before is not None and row.start_s <= before:
            fault = "comes twice" if row.start_s == before else f"comes after {_at(before)}"
            raise Refused(f"{row.point}: {_at(row.start_s)} {fault}")
        last[row.point] = row.start_s


def _complete(rows: Sequence[FrameRow], shape: Shape) -> None:
    by_start: dict[int, set[str]] = {}
    for row in rows:
        by_start.setdefault(row.start_s, set()).add(row.point)
    for start, found in sorted(by_start.items()):
        if missing := shape.points - found:
            raise Refused(f"{_at(start)} lacks {', '.join(sorted(missing))}")
    if shape.grid is None:
        return
    expected = {int(edge) for edge in shape.grid.edges[:-1]}
    if by_start.keys() != expected:
        raise Refused(f"{counted(len(by_start), 'interval')} instead of {len(expected)} in {shape.grid!r}")


def _bounds(rows: Sequence[FrameRow], shape: Shape, confirmed: Mapping[tuple[int, str], float]) -> None:
    implausible = []
    for row in rows:
        high = price_cap(shape.market, row.start_s) if shape.high is None else shape.high
        if not shape.low <= row.value <= high and confirmed.get((row.start_s, row.point)) != row.value:
            implausible.append(row)
    if implausible:
        first = implausible[0]
        raise ImplausiblePrice(
            f"{first.point} at {_at(first.start_s)} is {first.value:,.2f}: outside what the market's rules allow", implausible
        )


def _at(stamp_s: int) -> str:
    return f"{datetime.fromtimestamp(stamp_s, UTC):%Y-%m-%dT%H:%MZ}"
