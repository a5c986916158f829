from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.factbook import FactBook
from markets.facts import Fact, HashEconomics, LoadForecast, Price, PriceMarket, ReservePrice, SystemLoad, Temperature
from markets.forecasting.ladder import outlook, plan_grid
from markets.grid import Interval, Market
from markets.outlook import Basis, Outlook, PriceBasis

AT = datetime(2026, 7, 10, 17, 5, tzinfo=UTC)  # 12:05 Central
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def rt(end: datetime, usd: float, minutes: int = 15, market: PriceMarket = PriceMarket.REAL_TIME_15_MIN, point: str = "LZ_WEST") -> Price:
    over = Interval(end - timedelta(minutes=minutes), end)
    return Price(source="test", known_at=end + timedelta(minutes=2), point=point, market=market, over=over, usd_per_mwh=usd)


def dam_day(start: datetime, base: float, hours: int = 24, point: str = "LZ_WEST") -> list[Fact]:
    return [
        Price(
            source="test",
            known_at=start - timedelta(hours=11),
            point=point,
            market=PriceMarket.DAY_AHEAD_HOURLY,
            over=Interval(start + k * HOUR, start + (k + 1) * HOUR),
            usd_per_mwh=base + k,
        )
        for k in range(hours)
    ]


TODAY = datetime(2026, 7, 10, 5, tzinfo=UTC)


def look(
    facts: list[Fact], at: datetime = AT, hash_default: float | None = 45.0, market: Market = Market.ERCOT, point: str = "LZ_WEST"
) -> Outlook:
    return outlook(FactBook().after(facts), at, plan_grid(at, 15, 36), [point], market, hash_default)


def test_the_next_hour_returns_from_the_last_price_to_the_day_ahead_then_yesterdays_hours() -> None:
    seen = look([rt(AT - timedelta(minutes=5), 143.2), *dam_day(TODAY, 30.0)])
    price, basis = seen.price("LZ_WEST"), seen.basis["LZ_WEST"]
    near = [k for k, over in enumerate(seen.grid.intervals) if over.start < AT + HOUR]
    assert seen.price_basis is PriceBasis.REAL_TIME
    assert price.values[0] == 143.2 and {basis[k] for k in near} == {Basis.HELD}
    ahead = [42.0 if over.start < datetime(2026, 7, 10, 18, tzinfo=UTC) else 43.0 for over in seen.grid.intervals]
    minutes = [max(0.0, (over.start - AT) / timedelta(minutes=1)) for over in seen.grid.intervals]
    left = [(price.values[k] - ahead[k]) / (143.2 - ahead[k]) for k in near]
    assert left == pytest.approx([exp(-minutes[k] / 20.0) for k in near]), "after 20 minutes 37 % of the distance is left"
    later = datetime(2026, 7, 10, 19, 30, tzinfo=UTC)
    assert price.at(later) == 44.0 and basis[seen.grid.index(later)] is Basis.PUBLISHED
    tomorrow = datetime(2026, 7, 11, 10, 0, tzinfo=UTC)  # not published: as in the same hour of today
    assert price.at(tomorrow) == 35.0 and basis[seen.grid.index(tomorrow)] is Basis.FORECAST
    assert any("not published" in note for note in seen.notes)


@pytest.mark.parametrize(
    ("age_min", "price_basis"), [(20, PriceBasis.REAL_TIME), (21, PriceBasis.DAY_AHEAD), (60 * 40, PriceBasis.DAY_AHEAD)]
)
def test_a_stale_price_gives_way_to_the_day_ahead(age_min: int, price_basis: PriceBasis) -> None:
    seen = look([rt(AT - timedelta(minutes=age_min), 143.2), *dam_day(TODAY, 30.0)])
    assert seen.price_basis is price_basis
    assert seen.price("LZ_WEST").values[0] == (143.2 if price_basis is PriceBasis.REAL_TIME else 42.0)
    assert any("old" in note for note in seen.notes) == (price_basis is not PriceBasis.REAL_TIME)


@pytest.mark.parametrize(("age_h", "price_basis"), [(2, PriceBasis.PERSISTENCE), (24, PriceBasis.PERSISTENCE), (25, PriceBasis.SAFE_STATE)])
def test_without_a_day_ahead_price_the_last_price_is_used_for_a_day(age_h: int, price_basis: PriceBasis) -> None:
    seen = look([rt(AT - timedelta(hours=age_h), 143.2)])
    assert seen.price_basis is price_basis
    values = seen.price("LZ_WEST").values
    assert (values == 143.2).all() if price_basis is PriceBasis.PERSISTENCE else np.isnan(values).all()


def test_without_a_day_ahead_price_the_last_price_holds_for_the_hour() -> None:
    seen = look([rt(AT - timedelta(minutes=5), 143.2)])
    assert (seen.price("LZ_WEST").values == 143.2).all()


def test_yesterdays_day_ahead_hours_are_used_when_todays_are_missing() -> None:
    seen = look(dam_day(TODAY - DAY, 30.0))
    assert seen.price_basis is PriceBasis.PERSISTENCE and seen.price("LZ_WEST").values[0] == 42.0


def test_without_any_price_the_safe_state_holds_and_no_price_is_zero() -> None:
    seen = look([], hash_default=None)
    assert seen.price_basis is PriceBasis.SAFE_STATE
    assert np.isnan(seen.price("LZ_WEST").values).all() and np.isnan(seen.hashprice.values).all()
    assert sum("safe state" in note for note in seen.notes) == 2


def test_the_stalest_point_sets_the_price_basis() -> None:
    book = FactBook().after([rt(AT - timedelta(minutes=5), 20.0), *dam_day(TODAY, 30.0, point="LZ_NORTH")])
    assert outlook(book, AT, plan_grid(AT, 15, 24), ["LZ_WEST", "LZ_NORTH"], Market.ERCOT, 45.0).price_basis is PriceBasis.DAY_AHEAD


@pytest.mark.parametrize(("age_min", "price_basis"), [(62, PriceBasis.REAL_TIME), (67, PriceBasis.REAL_TIME), (68, PriceBasis.PERSISTENCE)])
def test_an_hourly_real_time_price_may_be_an_hour_older(age_min: int, price_basis: PriceBasis) -> None:
    hourly = rt(AT - timedelta(minutes=age_min), 3500.0, minutes=60, market=PriceMarket.REAL_TIME_HOURLY, point="TEXAS.HUB")
    assert look([hourly], market=Market.MISO, point="TEXAS.HUB").price_basis is price_basis


def test_the_energy_weighted_zone_uses_the_day_ahead_price_of_its_zone() -> None:
    seen = look([rt(AT - timedelta(minutes=5), 143.2, point="LZ_WEST_EW"), *dam_day(TODAY, 30.0)], point="LZ_WEST_EW")
    assert seen.price("LZ_WEST_EW").at(datetime(2026, 7, 10, 20, tzinfo=UTC)) == 45.0


def test_hash_temperature_load_and_reserve_on_the_grid() -> None:
    hours = [Interval(TODAY + k * HOUR, TODAY + (k + 1) * HOUR) for k in range(24)]
    facts: list[Fact] = [rt(AT - timedelta(minutes=5), 20.0)]
    facts += [Temperature(source="t", known_at=AT, over=over, celsius=20.0 + k) for k, over in enumerate(hours)]
    facts += [LoadForecast(source="t", known_at=AT, over=over, load_mw=50_000.0 + k) for k, over in enumerate(hours)]
    facts += [SystemLoad(source="t", known_at=AT, over=over, load_mw=1.0) for over in hours]
    facts += [
        ReservePrice(source="t", known_at=AT, product="ECRS", market="DAM", over=over, usd_per_mw_h=k) for k, over in enumerate(hours)
    ]
    yesterday = date(2026, 7, 9)
    facts += [HashEconomics(source="t", known_at=AT, on=yesterday, difficulty=1e14, btc_usd=6e4, fees_btc_per_block=0.0, subsidy_btc=3.125)]
    seen = look(facts)
    load = seen.system_load_mw
    assert seen.temperature_c.values[0] == 32.0 and seen.temperature_c.at(AT + DAY) == 32.0
    assert load is not None and load.values[0] == 50_012.0
    assert seen.reserve["ECRS"].values[0] == 12.0 and not np.isnan(seen.reserve["ECRS"].values).any()
    assert seen.hashprice.values[0] == pytest.approx(1e15 * 86400 / (1e14 * 2**32) * 3.125 * 6e4)


def reserve_at(usd: float, start: datetime, market: str, minutes: int = 60) -> ReservePrice:
    over = Interval(start, start + timedelta(minutes=minutes))
    return ReservePrice(source="t", known_at=over.end, product="ECRS", market=market, over=over, usd_per_mw_h=usd)


def test_reserve_takes_the_last_real_time_price_then_the_day_ahead_one_then_the_day_before() -> None:
    facts: list[Fact] = [rt(AT - timedelta(minutes=5), 20.0), reserve_at(90.0, AT - timedelta(minutes=15), "REAL_TIME_15_MIN", 15)]
    hour = AT.replace(minute=0)
    facts += [reserve_at(12.0, hour + k * HOUR, "DAM") for k in range(4)]
    facts += [reserve_at(7.0, hour + k * HOUR - DAY, "DAM") for k in range(24)]
    seen = look(facts)
    for over, usd in zip(seen.grid.intervals, seen.reserve["ECRS"].values, strict=True):
        if over.end <= hour + DAY:
            assert usd == (90.0 if over.start < AT + HOUR else 12.0 if over.start < hour + 4 * HOUR else 7.0), over
    assert [b.value for b in seen.reserve_basis["ECRS"][:2]] == ["held", "held"]
    assert seen.reserve_basis["ECRS"][-1].value == "forecast"
    no_run = [f for f in facts if not (isinstance(f, ReservePrice) and f.market != "DAM")]
    only = look(no_run)
    assert only.reserve["ECRS"].values[0] == 12.0 and only.reserve_basis["ECRS"][0].value == "published"
    stale = look([*no_run, reserve_at(90.0, AT - 2 * HOUR, "REAL_TIME_15_MIN", 15)])
    assert stale.reserve["ECRS"].values[0] == 12.0, "a price of two hours ago is no price of now"


@given(
    st.integers(0, 3 * 86_400),
    st.sampled_from([5, 15, 30, 60]),
    st.integers(1, 72),
)
def test_a_plan_grid_starts_now_steps_by_control_intervals_then_by_hours(offset_s: int, minutes: int, horizon_h: int) -> None:
    at = AT + timedelta(seconds=offset_s)
    grid = plan_grid(at, minutes, horizon_h)
    assert grid.start == at
    assert timedelta(0) <= grid.end - (at + horizon_h * HOUR) < HOUR and grid.end.minute == 0
    assert all(edge % (minutes * 60) == 0 for edge in grid.edges[1:])
    fine_until = at.replace(minute=0, second=0) + 4 * HOUR
    for over in grid.intervals[1:]:
        assert over.end - over.start == (timedelta(minutes=minutes) if over.start < fine_until else HOUR)


def test_a_plan_grid_cuts_the_first_interval_at_the_next_boundary() -> None:
    grid = plan_grid(AT + timedelta(seconds=30, microseconds=5), 15, 36)
    assert [f"{o.start:%H:%M:%S}" for o in grid.intervals[:3]] == ["17:05:30", "17:15:00", "17:30:00"]
    assert grid.intervals[0].end - grid.intervals[0].start == timedelta(minutes=9, seconds=30)
    assert len(grid) == 4 * 4 + 33 + 0
