from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.grid import Grid, Interval, Market, OperatingDay, hour_ending, interval_label, parse_instant, utc

DAYS = st.dates(date(2019, 1, 1), date(2030, 12, 31))
INSTANTS = st.datetimes(datetime(2019, 1, 1), datetime(2030, 12, 31), timezones=st.just(UTC))
SPRING = [date(2019, 3, 10), date(2020, 3, 8), date(2021, 3, 14), date(2024, 3, 10), date(2026, 3, 8), date(2030, 3, 10)]
FALL = [date(2019, 11, 3), date(2020, 11, 1), date(2021, 11, 7), date(2024, 11, 3), date(2026, 11, 1), date(2030, 11, 3)]


def all_days() -> list[date]:
    return [date(2019, 1, 1) + timedelta(days=k) for k in range((date(2031, 1, 1) - date(2019, 1, 1)).days)]


def test_ercot_days_have_92_96_or_100_quarter_hours_and_join() -> None:
    lengths: dict[int, list[date]] = {}
    for on in all_days():
        day = OperatingDay(Market.ERCOT, on)
        assert day.end == OperatingDay(Market.ERCOT, on + timedelta(days=1)).start
        lengths.setdefault(len(day.grid()), []).append(on)
    assert {n: len(days) for n, days in lengths.items() if n != 96} == {92: 12, 100: 12}
    assert set(SPRING) <= set(lengths[92]) and set(FALL) <= set(lengths[100])
    assert all(on.weekday() == 6 and on.month == 3 for on in lengths[92]) and all(on.month == 11 for on in lengths[100])


def test_miso_days_are_always_24_hours_of_est() -> None:
    for on in (*SPRING, *FALL, date(2026, 7, 1)):
        day = OperatingDay(Market.MISO, on)
        assert day.start == datetime(on.year, on.month, on.day, 5, tzinfo=UTC)
        assert (len(day.grid()), len(day.grid(15)), len(day.grid(60))) == (288, 96, 24)


@given(INSTANTS, st.sampled_from(list(Market)))
def test_every_instant_lies_in_its_operating_day(at: datetime, market: Market) -> None:
    day = OperatingDay.of(market, at)
    assert at in day.over and day.on == at.astimezone(market.tz).date()
    over = day.grid().intervals[day.grid().index(at)]
    assert at in over and over.end - over.start == timedelta(minutes=market.settlement_min)


def test_hour_ending_labels_of_the_days_that_change_clocks() -> None:
    spring = [hour_ending(Market.ERCOT, o.start) for o in OperatingDay(Market.ERCOT, date(2026, 3, 8)).grid(60).intervals]
    assert len(spring) == 23 and spring[:4] == ["HE01", "HE02", "HE04", "HE05"] and "HE03" not in spring
    fall = [hour_ending(Market.ERCOT, o.start) for o in OperatingDay(Market.ERCOT, date(2026, 11, 1)).grid(60).intervals]
    assert len(fall) == 25 and fall[:4] == ["HE01", "HE02", "HE02*", "HE03"] and fall[-1] == "HE24"
    miso = [hour_ending(Market.MISO, o.start) for o in OperatingDay(Market.MISO, date(2026, 11, 1)).grid(60).intervals]
    assert miso == [f"HE{h:02d}" for h in range(1, 25)]


@given(DAYS, st.sampled_from([Market.ERCOT, Market.MISO]))
def test_hour_ending_labels_are_unique_within_a_day(on: date, market: Market) -> None:
    labels = [hour_ending(market, o.start) for o in OperatingDay(market, on).grid(60).intervals]
    assert len(set(labels)) == len(labels) and [label.rstrip("*") for label in labels] == sorted(label.rstrip("*") for label in labels)


def test_interval_labels() -> None:
    over = Interval(datetime(2026, 7, 10, 22, 15, tzinfo=UTC), datetime(2026, 7, 10, 22, 30, tzinfo=UTC))
    assert interval_label(Market.ERCOT, over) == "HE18 17:15-17:30"
    assert interval_label(Market.MISO, over) == "HE18 17:15-17:30"


def test_intervals_are_utc_half_open_and_never_empty() -> None:
    central = timezone(timedelta(hours=-5))
    over = Interval(datetime(2026, 7, 10, 12, tzinfo=central), datetime(2026, 7, 10, 13, tzinfo=central))
    assert over.start.tzinfo is UTC and over.hours == 1.0
    assert over.start in over and over.end not in over
    assert not over.overlaps(Interval(over.end, over.end + timedelta(hours=1)))
    with pytest.raises(ValueError, match="not after"):
        Interval(over.start, over.start)
    with pytest.raises(ValueError, match="offset"):
        Interval(datetime(2026, 7, 10), datetime(2026, 7, 11))


@pytest.mark.parametrize("text", ["2026-07-10T12:00:00Z", "2026-07-10T07:00:00-05:00", "2026-07-10 12:00+00:00"])
def test_instants_are_read_with_their_offset(text: str) -> None:
    assert parse_instant(text) == datetime(2026, 7, 10, 12, tzinfo=UTC) and parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-07-10T12:00:00", "tomorrow", "2026-13-01T00:00Z", ""])
def test_instants_that_are_invalid_or_without_offset_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="offset|ISO 8601"):
        parse_instant(text)
    with pytest.raises(ValueError, match="offset"):
        utc(datetime(2026, 7, 10))


@given(INSTANTS, st.integers(1, 90), st.integers(1, 3000))
def test_a_regular_grid_covers_its_span(start: datetime, minutes: int, length_min: int) -> None:
    start = start.replace(microsecond=0)
    end = start + timedelta(minutes=length_min)
    grid = Grid.regular(start, end, minutes)
    assert grid.start == start and grid.end == end and len(grid) == -(-length_min // minutes)
    assert grid.hours.sum() == pytest.approx(length_min / 60)
    assert [o.start for o in grid.intervals[1:]] == [o.end for o in grid.intervals[:-1]]
    for over in grid.intervals[:: max(1, len(grid) // 7)]:
        assert grid.intervals[grid.index(over.start)] == over == grid.intervals[grid.index(over.end - timedelta(seconds=1))]
    with pytest.raises(KeyError):
        grid.index(end)


@given(INSTANTS, st.integers(-500, 500), st.integers(1, 700))
def test_share_within_a_span_adds_up_to_its_length(start: datetime, offset_min: int, length_min: int) -> None:
    start = start.replace(microsecond=0)
    grid = Grid.regular(start, start + timedelta(hours=8), 15)
    over = Interval(start + timedelta(minutes=offset_min), start + timedelta(minutes=offset_min + length_min))
    inside = max(0.0, (min(over.end, grid.end) - max(over.start, grid.start)).total_seconds() / 3600)
    share = grid.share_within(over)
    assert ((share >= 0) & (share <= 1)).all() and (share * grid.hours).sum() == pytest.approx(inside)


@pytest.mark.parametrize("edges", [[], [1], [1, 1], [2, 1], [[1, 2]]])
def test_a_grid_that_does_not_ascend_is_refused(edges: list[int]) -> None:
    with pytest.raises(ValueError, match="edges"):
        Grid(np.array(edges, dtype=np.int64))


def test_grids_of_equal_edges_are_equal_and_cannot_be_changed() -> None:
    one, two = (OperatingDay(Market.ERCOT, date(2026, 7, 10)).grid() for _ in range(2))
    assert one == two and hash(one) == hash(two) and one != OperatingDay(Market.ERCOT, date(2026, 7, 11)).grid()
    with pytest.raises(ValueError, match="read-only"):
        one.edges[0] = 0
