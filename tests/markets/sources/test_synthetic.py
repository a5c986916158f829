from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from markets.factbook import FactBook
from markets.facts import HashEconomics, IndicativePrices, LoadForecast, Price, PriceMarket, ReservePrice, SystemLoad, Temperature
from markets.forecasting.ladder import outlook, plan_grid
from markets.grid import Market, OperatingDay
from markets.hashmath import usd_per_ph_day
from markets.outlook import PriceBasis
from markets.sources.synthetic import SyntheticSource
from tests.conformance.source_kit import conforms

START = datetime(2026, 7, 10, 5, tzinfo=UTC)
DAM = PriceMarket.DAY_AHEAD_HOURLY
SCED = PriceMarket.REAL_TIME_SCED


@pytest.mark.parametrize(("market", "point"), [(Market.ERCOT, "LZ_WEST_EW"), (Market.MISO, "TEXAS.HUB")])
async def test_it_is_a_source(market: Market, point: str) -> None:
    source = SyntheticSource(market, 7, [point], hash_economics=True)
    cuts = [START + timedelta(hours=h, minutes=m) for h, m in ((0, 17), (8, 30), (13, 30), (19, 0))]
    facts = await conforms(source, START, START + timedelta(days=1), cuts)
    assert source.synthetic and {f.source for f in facts} == {"synthetic"}
    assert {Price, ReservePrice, SystemLoad, LoadForecast, Temperature, HashEconomics} == {type(f) for f in facts}


async def test_the_same_seed_gives_the_same_facts_for_any_window() -> None:
    whole = await SyntheticSource(Market.ERCOT, 42, ["LZ_WEST"]).fetch(START, START + timedelta(hours=30))
    ticking, other = SyntheticSource(Market.ERCOT, 42, ["HB_WEST", "LZ_WEST"]), SyntheticSource(Market.ERCOT, 43, ["LZ_WEST"])
    await ticking.fetch(START + timedelta(days=200), START + timedelta(days=230))  # far away first: what is kept must not matter
    said = [f for k in range(360) for f in await ticking.fetch(START + k * timedelta(minutes=5), START + (k + 1) * timedelta(minutes=5))]
    assert [f for f in said if not isinstance(f, Price) or f.point == "LZ_WEST"] == whole
    assert await other.fetch(START, START + timedelta(hours=30)) != whole


@pytest.mark.parametrize(("market", "point", "days"), [(Market.ERCOT, "LZ_WEST", 365), (Market.MISO, "TEXAS.HUB", 90)])
async def test_prices_are_plausible_and_every_day_has_spikes(market: Market, point: str, days: int) -> None:
    first = OperatingDay(market, date(2026, 1, 1)).start
    facts = await SyntheticSource(market, 1, [point]).fetch(first + timedelta(minutes=2), first + timedelta(days=days, minutes=2))
    real_time = [f for f in facts if isinstance(f, Price) and f.market is not DAM]
    usd = np.array([f.usd_per_mwh for f in real_time])
    assert len(usd) == days * 1440 // market.settlement_min
    assert 33 < usd.mean() < 50 and usd.max() > 1000 and usd.max() <= 5010 and -60 < usd.min() < -10
    assert 0.05 < (usd < 0).mean() < 0.13
    by_day = usd.reshape(days, -1)
    for breakeven in (60.0, 90.0, 125.0):  # rigs of 31, 21 and 15 J/TH at 45 $/PH/day
        crossings = (np.diff(by_day > breakeven, axis=1)).sum(axis=1)
        assert crossings.min() >= 2 and crossings.mean() > 5
    assert np.median(usd) == pytest.approx(np.median([f.usd_per_mwh for f in facts if isinstance(f, Price) and f.market is DAM]), abs=12)


async def test_the_zone_is_dearer_than_the_hub_and_days_join() -> None:
    facts = await SyntheticSource(Market.ERCOT, 3, ["LZ_WEST", "HB_WEST"]).fetch(START, START + timedelta(days=30))
    real_time = [f for f in facts if isinstance(f, Price) and f.market is not DAM]
    west, hub = (np.array([f.usd_per_mwh for f in real_time if f.point == point]) for point in ("LZ_WEST", "HB_WEST"))
    assert 0.5 < (west - hub).mean() < 5
    air = [f.celsius for f in facts if isinstance(f, Temperature)]
    assert max(abs(a - b) for a, b in zip(air, air[1:], strict=False)) < 4


async def test_summer_peaks_stand_out_and_the_forecast_is_near() -> None:
    facts = await SyntheticSource(Market.ERCOT, 5, []).fetch(START, START + timedelta(days=20))
    load = {f.over.start: f.load_mw for f in facts if isinstance(f, SystemLoad)}
    assert 1.1 < max(load.values()) / np.mean(list(load.values())) < 1.6
    top = max(load, key=lambda at: load[at]).astimezone(Market.ERCOT.tz)
    assert 14 <= top.hour <= 19
    forecast = [(f.load_mw, load[f.over.start]) for f in facts if isinstance(f, LoadForecast) and f.over.start in load]
    assert np.mean([abs(a / b - 1) for a, b in forecast]) < 0.04


async def test_facts_are_published_when_the_real_market_would() -> None:
    facts = await SyntheticSource(Market.ERCOT, 7, ["LZ_WEST"]).fetch(START, START + timedelta(days=3))
    for fact in facts:
        if isinstance(fact, Price) and fact.market is DAM:
            assert fact.known_at == OperatingDay.of(Market.ERCOT, fact.over.start).start - timedelta(hours=10, minutes=30)
        elif isinstance(fact, Price | SystemLoad):
            assert fact.known_at == fact.over.end + timedelta(minutes=2)


@pytest.mark.parametrize(("on", "quarters"), [(date(2026, 3, 8), 92), (date(2026, 11, 1), 100), (date(2026, 7, 10), 96)])
async def test_days_of_23_and_25_hours(on: date, quarters: int) -> None:
    day = OperatingDay(Market.ERCOT, on)
    facts = await SyntheticSource(Market.ERCOT, 7, ["LZ_WEST"]).fetch(day.start - timedelta(days=2), day.end + timedelta(days=1))
    inside = [f for f in facts if isinstance(f, Price) and day.start <= f.over.start < day.end]
    assert len([f for f in inside if f.market is not DAM]) == quarters
    assert len([f for f in inside if f.market is DAM]) == quarters // 4


async def test_hashprice_wanders_about_45() -> None:
    facts = await SyntheticSource(Market.ERCOT, 7, [], hash_economics=True).fetch(START, START + timedelta(days=300))
    figures = [f for f in facts if isinstance(f, HashEconomics)]
    usd = [usd_per_ph_day(f.difficulty, f.btc_usd, f.fees_btc_per_block, f.subsidy_btc) for f in figures]
    assert len(usd) == 300 and 40 < min(usd) < 45 < max(usd) < 50
    assert all(f.known_at.date() == f.on + timedelta(days=1) for f in figures)


async def test_a_book_filled_from_it_gives_a_complete_outlook_after_a_day() -> None:
    source, at = SyntheticSource(Market.ERCOT, 7, ["LZ_WEST"], hash_economics=True), START + timedelta(hours=9, minutes=5)
    book = FactBook().after(await source.fetch(at - timedelta(days=2), at))
    seen = outlook(book, at, plan_grid(at, 15, 48), ["LZ_WEST"], Market.ERCOT)
    assert seen.price_basis is PriceBasis.REAL_TIME and seen.synthetic
    for series in (seen.price("LZ_WEST"), seen.hashprice, seen.temperature_c, *seen.reserve.values(), seen.system_load_mw):
        assert series is not None and not np.isnan(series.values).any()
    assert sorted(seen.reserve) == ["ECRS", "NSPIN", "REGDN", "REGUP", "RRS"]


async def test_dispatch_runs_are_published_as_they_begin_and_change_no_settled_price() -> None:
    until = START + timedelta(days=1)
    settled = await SyntheticSource(Market.ERCOT, 7, ["LZ_WEST"]).fetch(START, until)
    source = SyntheticSource(Market.ERCOT, 7, ["LZ_WEST"], dispatch_runs=True)
    facts = await conforms(source, START, until)
    assert [f for f in facts if not isinstance(f, IndicativePrices) and getattr(f, "market", "") != SCED] == settled
    runs = [f for f in facts if isinstance(f, Price) and f.market is SCED]
    quarters = {f.over.start: f.usd_per_mwh for f in settled if isinstance(f, Price) and f.market is PriceMarket.REAL_TIME_15_MIN}
    for at, usd in quarters.items():
        own = [f.usd_per_mwh for f in runs if at <= f.over.start < at + timedelta(minutes=15)]
        assert len(own) in (0, 3) and (not own or np.mean(own) == pytest.approx(usd, abs=0.011))
    assert all(timedelta(0) < f.known_at - f.over.start < timedelta(minutes=1) for f in runs)


async def test_look_ahead_runs_err_the_more_the_further_they_look_and_less_than_holding_the_price() -> None:
    facts = await SyntheticSource(Market.ERCOT, 9, ["LZ_WEST"], dispatch_runs=True).fetch(START, START + timedelta(days=20))
    usd = {f.over.start: f.usd_per_mwh for f in facts if isinstance(f, Price) and f.market is SCED}
    step = timedelta(minutes=5)
    missed: dict[int, list[tuple[float, float]]] = {2: [], 11: []}
    for run in (f for f in facts if isinstance(f, IndicativePrices)):
        for ahead in (n for n in missed if n <= len(run.usd_per_mwh)):
            at = run.over.start + (ahead - 1) * step
            if at in usd and run.over.start - step in usd:
                missed[ahead].append((abs(run.usd_per_mwh[ahead - 1] - usd[at]), abs(usd[run.over.start - step] - usd[at])))
    near, far = (np.mean(missed[n], axis=0) for n in (2, 11))
    assert near[0] < far[0] and near[0] < near[1] and far[0] < far[1]
