"""Which interval is the month's peak: a probability ahead, a fact afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.factbook import KEEP, FactBook
from markets.facts import LoadForecast, SystemLoad
from markets.forecasting import peak_period
from markets.forecasting.ladder import outlook, plan_grid
from markets.forecasting.peak_period import DAY_ERROR, HOUR_ERROR, INTERVAL_ERROR, LEAD
from markets.forecasting.peaks import coincident_peak_probability, coincident_peak_share, newest, peak_span
from markets.grid import Grid, Interval, Market, OperatingDay, month_span, months
from markets.series import Series
from tests.realdata import real

ERCOT = Market.ERCOT
HOUR = timedelta(hours=1)


def shape(hour: float, top: float) -> float:
    """A summer day: its highest hour begins at 17:00."""
    return top * (0.7 + 0.3 * np.cos((hour - 17) / 24 * 2 * np.pi))


def day_of(on: str) -> OperatingDay:
    return OperatingDay(ERCOT, datetime.fromisoformat(on).date())


def loads(day: OperatingDay, top: float, minutes: int = 60) -> list[SystemLoad]:
    return [
        SystemLoad(source="t", known_at=over.end, over=over, load_mw=shape((over.start - day.start) / HOUR // 1, top))
        for over in day.grid(minutes).intervals
    ]


def forecasts(day: OperatingDay, top: float) -> list[LoadForecast]:
    return [
        LoadForecast(source="t", known_at=day.start - 12 * HOUR, over=over, load_mw=shape((over.start - day.start) / HOUR, top))
        for over in day.grid(60).intervals
    ]


def days(first: str, n: int) -> list[OperatingDay]:
    return [OperatingDay(ERCOT, day_of(first).on + timedelta(days=k)) for k in range(n)]


def book_of(past: list[float], ahead: list[float], first: str = "2026-08-01") -> tuple[FactBook, datetime]:
    """A month that began with days of these peaks, and forecasts of these for the days after; at 06:00 of the first of those."""
    run = days(first, len(past) + len(ahead))
    facts = [f for day, top in zip(run, past, strict=False) for f in loads(day, top)]
    facts += [f for day, top in zip(run[len(past) :], ahead, strict=True) for f in forecasts(day, top)]
    return FactBook().after(facts), run[len(past)].start + 6 * HOUR


def ahead_of(past: list[float], ahead: list[float], hours: int = 42, **more) -> tuple[Grid, np.ndarray]:
    book, at = book_of(past, ahead, **more)
    grid = Grid.regular(at, at + timedelta(hours=hours), 15)
    series = coincident_peak_probability(book, grid, ERCOT)
    assert series is not None
    return grid, series.values


def test_peak_shares_lie_between_zero_and_one():
    _, share = ahead_of([78_000.0] * 10, [82_000.0, 80_000.0])
    assert (share >= 0).all() and 0.05 < share.sum() <= 1


def test_the_highest_hours_of_the_highest_day_are_the_likeliest():
    grid, share = ahead_of([78_000.0] * 10, [82_000.0, 80_000.0])
    local = np.array([over.start.astimezone(ERCOT.tz).hour for over in grid.intervals])
    first = np.arange(len(grid)) < 18 * 4
    assert set(local[np.argsort(-share)[:4]]) == {17}
    assert share[first].sum() > 5 * share[~first].sum()
    assert share[local < 12].sum() < 1e-6


def test_loads_below_the_months_highest_have_no_chance():
    """The system's peak so far is the threshold: 95 GW on the third leaves 80 GW no chance."""
    _, share = ahead_of([78_000.0, 78_000.0, 95_000.0, *[78_000.0] * 7], [80_000.0, 80_000.0])
    assert share.sum() < 1e-9
    _, near = ahead_of([78_000.0, 78_000.0, 81_000.0, *[78_000.0] * 7], [80_000.0, 80_000.0])
    _, under = ahead_of([78_000.0] * 10, [80_000.0, 80_000.0])
    assert 0 < near.sum() < under.sum()


def test_probabilities_rise_towards_the_end_of_the_month():
    """The more days are left that nobody foresees, the likelier one of them is higher. A forecast 4 % above all of the last two weeks
    counts for more than one of thirty days: heat that high is rare."""
    chances = [ahead_of([80_000.0] * n, [83_000.0, 80_000.0])[1].sum() for n in (2, 10, 20, 25, 28, 29)]
    assert chances == sorted(chances) and chances[0] < 0.25 and chances[-2] > 0.6 and chances[-1] > 0.95


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), past=st.integers(0, 29), spread=st.sampled_from([0.001, 0.03, 0.1]))
def test_the_chances_of_a_month_never_exceed_certainty(seed, past, spread):
    """What remains of a month, with what has happened in it and the days nobody foresees, adds up to one: what remains to one at most."""
    rng = np.random.default_rng(seed)
    tops = 75_000.0 * (1 + spread * rng.standard_normal(31))
    grid, share = ahead_of(list(tops[:past]), list(tops[past : past + 3]), hours=66)
    month = months(ERCOT, grid)
    assert all(share[month == number].sum() <= 1 + 1e-9 for number in np.unique(month))


def test_the_last_days_of_a_month_are_certain_to_hold_it_when_nothing_was_higher():
    _, share = ahead_of([60_000.0] * 29, [80_000.0, 60_000.0], hours=41)
    assert share.sum() == pytest.approx(1.0, abs=0.01)


def test_each_month_has_its_own_peak():
    grid, share = ahead_of([80_000.0] * 30, [84_000.0, 70_000.0], hours=42)
    month = months(ERCOT, grid)
    assert share[month == month[0]].sum() > 0.8, "the 31st is hot"
    assert share[month == month[-1]].sum() < 0.2, "the 1st of September has a month before it"


def test_probabilities_agree_with_drawing_the_rest_of_the_month():
    """The closed form against 20,000 months drawn from the same errors."""
    past, ahead = [80_000.0] * 28, [81_000.0, 81_500.0]
    grid, share = ahead_of(past, ahead)
    rng = np.random.default_rng(1)
    start = days("2026-08-01", 31)[28].start + 6 * HOUR
    middle = np.array([(over.start - day_start(over)) / HOUR - 0.375 for over in grid.intervals])  # hours after the first hour's middle
    of_day = np.array([(over.start.astimezone(ERCOT.tz).date() - start.astimezone(ERCOT.tz).date()).days for over in grid.intervals])
    hourly = [[shape(h, top) for h in range(24)] for top in ahead]
    mean = np.array([np.interp(m, range(24), hourly[d]) for m, d in zip(middle, of_day, strict=True)])
    n = 20_000
    hours_ahead = np.maximum(1, (grid.edges[1:] - grid.edges[0]) / 3600)
    error = np.where(of_day == 0, np.minimum(HOUR_ERROR * hours_ahead**LEAD, DAY_ERROR), DAY_ERROR)
    drawn = mean * (1 + error * rng.standard_normal((n, 2))[:, of_day]) + INTERVAL_ERROR * mean * rng.standard_normal((n, len(mean)))
    above = peak_period.REST_ABOVE - 13 * peak_period.REST_ABOVE_PER_DAY
    rest = max(past) * np.exp(above + peak_period.REST_ERROR * rng.standard_normal(n))  # the 31st
    likely = (peak_period.WHILE_DAYS_REMAIN * hours_ahead**peak_period.PER_LEAD) ** (1 - np.exp(-1 / 5))
    best = drawn.argmax(axis=1)
    counts = (drawn.max(axis=1) > np.maximum(rest, max(past))).astype(float)
    found = likely * np.bincount(best, counts, minlength=len(mean)) / n
    np.testing.assert_allclose(share, found, atol=0.012)
    assert share.sum() == pytest.approx(found.sum(), abs=0.015)


def day_start(over: Interval) -> datetime:
    return OperatingDay.of(ERCOT, over.start).start


def test_the_newest_reading_outweighs_the_forecast_of_the_next_quarter_hour():
    """The day's forecast is flat at 76 GW; the last quarter hour was read at 79, the hour before at 76."""
    day, read = day_of("2026-08-11"), [76_000.0] * 3 + [79_000.0]
    at = day.start + 17 * HOUR
    facts = [f for k in range(10) for f in loads(day_of(f"2026-08-{k + 1:02d}"), 76_000.0)]
    facts += [LoadForecast(source="t", known_at=day.start - 12 * HOUR, over=o, load_mw=76_000.0) for o in day.grid(60).intervals]
    spans = [Interval(at + timedelta(minutes=15 * (k - 4)), at + timedelta(minutes=15 * (k - 3))) for k in range(4)]
    facts += [SystemLoad(source="t", known_at=o.end, over=o, load_mw=mw) for o, mw in zip(spans, read, strict=True)]
    grid = Grid.regular(at, at + 4 * HOUR, 15)
    share = coincident_peak_probability(FactBook().after(facts), grid, ERCOT)
    assert share is not None and share.values[0] == share.values.max() > 5 * share.values[-1]


def test_between_two_hourly_forecasts_the_load_does_not_jump():
    """18:00 is forecast 3 % under the hours beside it, as single hours are: chances fall towards its middle, not at its edges."""
    day = day_of("2026-08-11")
    facts = [f for k in range(10) for f in loads(day_of(f"2026-08-{k + 1:02d}"), 76_000.0)]
    told = {16: 77_000.0, 17: 77_500.0, 18: 75_200.0, 19: 77_500.0}
    hours = [(o, told.get((o.start - day.start) // HOUR, 60_000.0)) for o in day.grid(60).intervals]
    facts += [LoadForecast(source="t", known_at=day.start - 12 * HOUR, over=o, load_mw=mw) for o, mw in hours]
    grid = Grid.regular(day.start + 17.5 * HOUR, day.start + 20 * HOUR, 15)
    share = coincident_peak_probability(FactBook().after(facts), grid, ERCOT)
    assert share is not None
    fall, rise = share.values[:4], share.values[4:8]
    assert all(a > 2 * b for a, b in zip(fall, fall[1:], strict=False)) and all(b > 2 * a for a, b in zip(rise, rise[1:], strict=False))


def test_a_coarse_grid_holds_what_its_quarters_hold():
    book, at = book_of([78_000.0] * 10, [82_000.0, 80_000.0])
    grid = plan_grid(at + timedelta(minutes=7), 15, 36)
    coarse = coincident_peak_probability(book, grid, ERCOT)
    fine = coincident_peak_probability(book, Grid.regular(grid.start, grid.end, 1), ERCOT)
    assert coarse is not None and fine is not None
    for over, share in zip(grid.intervals, coarse.values, strict=True):
        assert share == pytest.approx(fine.values[fine.grid.share_within(over) > 0].sum(), abs=1e-9)
    half = coincident_peak_probability(book, grid, ERCOT, 30)
    assert half is not None and half.values.sum() == pytest.approx(coarse.values.sum(), rel=0.2)


def test_without_any_load_no_peak_is_predicted_and_the_outlook_notes_it():
    grid = Grid.regular(datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 8, 2, tzinfo=UTC), 60)
    assert coincident_peak_probability(FactBook(), grid, ERCOT) is None
    blind = outlook(FactBook(), grid.start, grid, ["LZ_WEST"], ERCOT, 45.0, peak_windows_min=(15,))
    assert not blind.peak_share and any("coincident peaks cannot be predicted" in note for note in blind.notes)
    book, at = book_of([78_000.0] * 10, [82_000.0, 80_000.0])
    seen = outlook(book, at, plan_grid(at, 15, 24), ["LZ_WEST"], ERCOT, 45.0, peak_windows_min=(15, 30))
    assert set(seen.peak_share) == {15, 30}
    assert not outlook(book, at, plan_grid(at, 15, 24), ["LZ_WEST"], ERCOT, 45.0).peak_share


def test_the_highest_loads_of_the_month_survive_pruning():
    """A peak on the second still stands on the twentieth, whatever was pruned."""
    past = [78_000.0, 90_000.0, *[78_000.0] * 18]
    book, at = book_of(past, [82_000.0, 82_000.0])
    pruned = book.prune(at - KEEP)
    assert len(pruned.loads) < len(book.loads) / 2
    grid = Grid.regular(at, at + timedelta(hours=24), 15)
    whole, kept = (coincident_peak_probability(b, grid, ERCOT) for b in (book, pruned))
    assert whole is not None and kept is not None
    assert whole.values.sum() < 1e-3
    np.testing.assert_allclose(kept.values, whole.values, atol=1e-4)
    assert pruned.prune(at - KEEP).loads == pruned.loads
    assert max(f.load_mw for f in pruned.prune(at + timedelta(days=100)).loads) < 90_000, "a season later it is forgotten"


def test_a_season_has_one_peak_where_its_months_have_three():
    """June peaked at 90 GW, July at 80 so far: a last day of 85 GW is July's peak and not the summer's; December belongs to winter."""
    june, july = day_of("2026-06-10"), days("2026-07-01", 31)
    read = [f for day in july[:-1] for f in loads(day, 80_000.0)]
    facts = [*loads(june, 90_000.0), *read, *forecasts(july[-1], 85_000.0)]
    book, at = FactBook().after(facts).prune(july[-1].start - KEEP), july[-1].start + 6 * HOUR
    grid = Grid.regular(at, at + timedelta(hours=18), 15)
    month, season = (coincident_peak_probability(book, grid, ERCOT, window) for window in (60, (60, 3)))
    assert month is not None and season is not None
    assert month.values.sum() > 0.9 and season.values.sum() < 0.05 * month.values.sum()
    real_ones = [*loads(june, 90_000.0), *loads(july[0], 80_000.0)]
    for day, by_month, by_season in ((june, 1.0, 1.0), (july[0], 1.0, 0.0)):
        assert coincident_peak_share(real_ones, day.grid(), ERCOT, 60).values.sum() == pytest.approx(by_month)
        assert coincident_peak_share(real_ones, day.grid(), ERCOT, (60, 3)).values.sum() == pytest.approx(by_season)
    spans = [peak_span(ERCOT, day_of(on).grid(), [60, (60, 3)]) for on in ("2026-12-01", "2027-01-15", "2027-02-28", "2027-03-01")]
    assert len(set(spans[:3])) == 1 and spans[0].start == day_of("2026-12-01").start and spans[0].end == day_of("2027-03-01").start
    assert spans[3].end == day_of("2027-06-01").start
    assert peak_span(ERCOT, day_of("2027-01-15").grid(), [15]) == month_span(ERCOT, 12 * 2027)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), minutes=st.sampled_from([5, 15, 60]), window=st.sampled_from([15, 30]))
def test_the_actual_peak_is_the_highest_metered_interval(seed, minutes, window):
    rng = np.random.default_rng(seed)
    day = day_of("2026-08-20")
    grid = day.grid(minutes)
    facts = [
        SystemLoad(source="t", known_at=over.end, over=over, load_mw=float(mw))
        for over, mw in zip(grid.intervals, rng.integers(50_000, 80_000, len(grid)), strict=True)
    ]
    share = coincident_peak_share(facts, day.grid(), ERCOT, window).values
    assert share.sum() == pytest.approx(1.0)
    wide = max(1, window // minutes)
    means = np.array([f.load_mw for f in facts]).reshape(-1, wide).mean(axis=1)
    best = int(means.argmax()) * wide
    peak = Interval(grid.intervals[best].start, grid.intervals[best + wide - 1].end)
    np.testing.assert_allclose(share, day.grid().share_within(peak) * 0.25 / peak.hours, atol=1e-12)


def test_the_actual_peak_needs_complete_intervals_of_its_own_month():
    day = day_of("2026-08-31")
    after = OperatingDay(ERCOT, day.on + timedelta(days=1))
    facts = [*loads(day, 80_000.0, 15), *loads(after, 90_000.0, 15)]
    assert coincident_peak_share(facts, day.grid(), ERCOT).values.sum() == pytest.approx(1.0)
    assert coincident_peak_share([*facts, *loads(day_of("2026-08-03"), 81_000.0)], day.grid(), ERCOT).values.sum() == 0
    assert coincident_peak_share([], day.grid(), ERCOT).values.sum() == 0
    quarter = [f for f in loads(day, 80_000.0, 5) if f.over.start.minute != 5]
    peak = coincident_peak_share(quarter, day.grid(), ERCOT)
    assert {over.start.minute for over, s in zip(day.grid().intervals, peak.values, strict=True) if s} <= {15, 30, 45}


def test_a_correction_replaces_the_corrected_load():
    over = Interval(datetime(2026, 8, 20, 22, tzinfo=UTC), datetime(2026, 8, 20, 23, tzinfo=UTC))
    told = [SystemLoad(source="t", known_at=over.end + k * HOUR, over=over, load_mw=80_000.0 - k) for k in (0, 2, 1)]
    assert [f.load_mw for f in newest(told)] == [79_998.0]


def test_months_are_the_markets_own():
    span = month_span(ERCOT, 12 * 2026 + 10)  # November 2026 has 721 hours in Texas
    assert (span.start, span.hours) == (datetime(2026, 11, 1, 5, tzinfo=UTC), 721.0)
    assert month_span(Market.MISO, 12 * 2026 + 10).hours == 720.0
    assert month_span(ERCOT, 12 * 2026 + 11).end == datetime(2027, 1, 1, 6, tzinfo=UTC)
    grid = Grid.regular(span.start - HOUR, span.start + HOUR, 60)
    assert list(months(ERCOT, grid)) == [12 * 2026 + 9, 12 * 2026 + 10]


def real_loads() -> list[SystemLoad]:
    """ERCOT's hourly load of 2022 and 2024."""
    import polars as pl

    frame = pl.read_parquet(real("ercot_native_load_hourly_2022_2025.parquet"))
    return [
        SystemLoad(source="t", known_at=at + HOUR, over=Interval(at, at + HOUR), load_mw=float(mw))
        for at, mw in frame.select("interval_start_utc", "ERCOT").drop_nulls().sort("interval_start_utc").iter_rows()
    ]


def chances_of_day(facts: list[SystemLoad], day: OperatingDay) -> Series:
    """By the hour, as of 06:00 of the day; the loads of the 35 days before are known."""
    at = day.start + 6 * HOUR
    book = FactBook().after(f for f in facts if at - timedelta(days=35) < f.over.end <= at)
    share = coincident_peak_probability(book, Grid.regular(at, at + 18 * HOUR, 60), ERCOT)
    assert share is not None
    return share


def test_real_peaks_of_two_summers_are_among_the_likeliest_hours():
    """Persistence only: no forecast was kept. The hour of each monthly peak must stand among the four likeliest of its day, and its day
    must be worth standing by: more than a quiet day's chance."""
    facts, ranks, chances = real_loads(), [], []
    for year in (2022, 2024):
        for month in (6, 7, 8, 9):
            span = month_span(ERCOT, 12 * year + month - 1)
            inside = [f for f in facts if f.over.start >= span.start and f.over.end <= span.end]
            peak = max(inside, key=lambda f: f.load_mw)
            share = chances_of_day(facts, OperatingDay.of(ERCOT, peak.over.start))
            ranks.append(int((share.values > share.at(peak.over.start)).sum()))
            chances.append(float(share.values.sum()))
    assert max(ranks) < 4, ranks
    assert np.median(chances) > 1 / 30, chances


def test_real_chances_of_the_days_of_a_month_add_up_to_about_one():
    """As of each day's morning, summers of 2022 and 2024, persistence only. They added up to five: a chance of one month's peak was paid
    for five times over. A wrong sum also shows in the score: it must beat a chance of 1/30 for every day."""
    facts, sums, squares = real_loads(), [], []
    for year in (2022, 2024):
        for month in (6, 7, 8, 9):
            span = month_span(ERCOT, 12 * year + month - 1)
            near = [f for f in facts if span.start - timedelta(days=36) < f.over.end <= span.end]
            peak = max((f for f in near if f.over.start >= span.start), key=lambda f: f.load_mw)
            run = [day for n in range(31) if (day := OperatingDay(ERCOT, span.start.date() + timedelta(days=n))).start < span.end]
            chances = [float(chances_of_day(near, day).values.sum()) for day in run]
            sums.append(sum(chances))
            squares += [(p - (peak.over.start in day.over)) ** 2 for p, day in zip(chances, run, strict=True)]
    assert np.mean(sums) < 2.0, sums
    assert np.mean(squares) < 1 / 30 * 29 / 30


STAND_BY = 0.0025  # a share of $17,500 a MW of one of four peaks that is worth an hour of $44/MWh


SEPTEMBER = pytest.param((9,), id="september", marks=pytest.mark.slow(sample="only"))
SUMMER = pytest.param((6, 7, 8, 9), id="summer", marks=pytest.mark.slow)


@pytest.mark.parametrize("summer", [SEPTEMBER, SUMMER])
def test_the_peaks_of_two_real_summers_are_avoided_within_a_hundred_hours_a_year(summer: tuple[int, ...]) -> None:
    """Each afternoon hour decided on what was known at its beginning: hourly load as a proxy of the metered quarter hours, and in 2024 the
    day-ahead forecast (there is none of 2022)."""
    facts, forecasts = real_loads(), real_forecasts()
    for year in (2022, 2024):
        peaks, stood, chances = [], set[datetime](), []
        for month in summer:
            span = month_span(ERCOT, 12 * year + month - 1)
            near = [f for f in facts if span.start - timedelta(days=16) < f.over.end <= span.end]
            peaks.append(max((f for f in near if f.over.start >= span.start), key=lambda f: f.load_mw).over.start)
            for at in (f.over.start for f in near if f.over.start >= span.start and 12 <= f.over.start.astimezone(ERCOT.tz).hour <= 20):
                book = FactBook(
                    loads=tuple(f for f in near if f.over.end <= at and (f.over.end > at - timedelta(days=3) or f.over.end.hour > 18)),
                    load_forecasts=tuple(f for f in forecasts if f.known_at <= at and f.over.end > at - timedelta(days=1)),
                )
                share = coincident_peak_probability(book, Grid.regular(at, at + 36 * HOUR, 60), ERCOT, 60)
                assert share is not None
                chances.append(float(share.values[0]))
                stood |= {at} if chances[-1] > STAND_BY else set()
        assert set(peaks) <= stood, (year, sorted(set(peaks) - stood))
        assert len(stood) <= 25 * len(peaks), (year, len(stood))
        assert 0.5 < sum(chances) / len(peaks) < 1.8, (year, sum(chances))


def real_forecasts() -> list[LoadForecast]:
    """The day-ahead forecast of ERCOT's load, by hour, of 2024, known with the day-ahead prices."""
    import polars as pl

    frame = pl.read_parquet(real("ercot_dam_spp_hubavg_and_load_forecast_hourly_2024_2025.parquet")).drop_nulls("da_demand_forecast_mw")
    rows = [(at.astimezone(UTC), mw) for at, mw in frame.select("interval_start_utc", "da_demand_forecast_mw").iter_rows() if mw == mw]
    return [
        LoadForecast(source="t", known_at=OperatingDay.of(ERCOT, at).start - 10.5 * HOUR, over=Interval(at, at + HOUR), load_mw=float(mw))
        for at, mw in rows
        if 6 <= at.month <= 10 and at.year == 2024
    ]
