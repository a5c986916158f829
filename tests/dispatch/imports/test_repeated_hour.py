"""A day of 92, 96 or 100 quarter hours reads back whole in every layout that meters are sent in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from dispatch.imports.meter_csv import parse_meter_map, read_meter_csv
from markets.grid import Market, OperatingDay

CENTRAL = ZoneInfo("America/Chicago")
DAYS = {92: date(2026, 3, 8), 96: date(2026, 8, 20), 100: date(2026, 11, 1)}
DAY, CLOCK, BOTH = "%m/%d/%Y", "%H:%M", "%m/%d/%Y %H:%M"
Layout = Callable[[datetime, datetime, timedelta], str]


def _reckoned(start: datetime, length: timedelta) -> datetime:
    """The end as a file gives it that only adds the length to the time of the start."""
    return start.replace(tzinfo=None) + length


# By header: a row from start and end in market time, and the length.
LAYOUTS: dict[str, Layout] = {
    "Interval Start,Interval End": lambda b, e, _: f"{b:{BOTH}},{e:{BOTH}}",
    "Start Time,End Time": lambda b, _, length: f"{b:{BOTH}},{_reckoned(b, length):{BOTH}}",
    "Interval Start": lambda b, *_: f"{b:{BOTH}}",
    "Interval End": lambda _, e, __: f"{e:{BOTH}}",
    "Interval Ending": lambda b, _, length: f"{_reckoned(b, length):{BOTH}}",
    "USAGE_DATE,USAGE_START_TIME,USAGE_END_TIME": lambda b, e, _: f"{b:{DAY}},{b:{CLOCK}},{e:{CLOCK}}",
    "Usage Date,Usage Start Time,Usage End Time": lambda b, _, length: f"{b:{DAY}},{b:{CLOCK}},{_reckoned(b, length):{CLOCK}}",
    "Date,Start": lambda b, *_: f"{b:{DAY}},{b:{CLOCK}}",
    "Date,End Time": lambda b, e, _: f"{b:{DAY}},{e:{CLOCK}}",
    "start,end": lambda b, e, _: f"{b.isoformat()},{e.isoformat()}",
}


@given(
    intervals=st.sampled_from(sorted(DAYS)),
    minutes=st.sampled_from([5, 15, 30, 60]),
    header=st.sampled_from(sorted(LAYOUTS)),
    meters=st.sampled_from([("main",), ("main", "second")]),
    together=st.booleans(),
    newest_first=st.booleans(),
)
def test_every_layout_of_a_day_reads_back_whole(
    intervals: int, minutes: int, header: str, meters: tuple[str, ...], together: bool, newest_first: bool
) -> None:
    day, length = OperatingDay(Market.ERCOT, DAYS[intervals]), timedelta(minutes=minutes)
    starts = [day.start + k * length for k in range(intervals * 15 // minutes)]
    spans = [(b, b.astimezone(CENTRAL), (b + length).astimezone(CENTRAL)) for b in starts]
    wanted = {meter: {b: 100 * m + k for k, b in enumerate(starts)} for m, meter in enumerate(meters, 1)}
    rows = [f"{meter},{LAYOUTS[header](b, e, length)},{wanted[meter][at]}" for meter in meters for at, b, e in spans]
    if together:
        rows = [row for of_both in zip(*(rows[n * len(spans) :][: len(spans)] for n in range(len(meters))), strict=True) for row in of_both]
    text = "\n".join([f"meter,{header},kWh", *(rows[::-1] if newest_first else rows)])
    how = parse_meter_map('timezone = "America/Chicago"')
    read = read_meter_csv(text.encode(), how, {meter: meter for meter in meters}, None)
    assert [f.text for f in read.findings] == []
    assert {m: {r.over.start: int(r.mwh * 1000) for r in read.readings if r.meter == m} for m in meters} == wanted
    assert all(r.over.end - r.over.start == length for r in read.readings)
