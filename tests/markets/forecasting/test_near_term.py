"""The interval under way and the next hour, from dispatch runs and the market's look-ahead run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from markets.factbook import KEEP, FactBook
from markets.facts import Fact, IndicativePrices, IndicativeReservePrices, Price, PriceMarket, ReservePrice
from markets.forecasting.ladder import outlook, plan_grid
from markets.grid import Interval, Market
from markets.outlook import Basis, Outlook, PriceBasis

QUARTER = datetime(2026, 7, 10, 17, 0, tzinfo=UTC)
FIVE = timedelta(minutes=5)
PUBLISHED = timedelta(seconds=20)


def run(start: datetime, usd: float) -> Price:
    return Price(
        source="test", known_at=start + PUBLISHED, point="LZ_WEST", market=PriceMarket.REAL_TIME_SCED,
        over=Interval(start, start + FIVE), usd_per_mwh=usd,
    )  # fmt: skip


def look_ahead(start: datetime, usd: list[float], known_at: datetime | None = None) -> IndicativePrices:
    over = Interval(start, start + len(usd) * FIVE)
    return IndicativePrices(
        source="test", known_at=known_at or start - FIVE + PUBLISHED, point="LZ_WEST", over=over, usd_per_mwh=tuple(usd)
    )


def settled(end: datetime, usd: float) -> Price:
    over = Interval(end - 3 * FIVE, end)
    market = PriceMarket.REAL_TIME_15_MIN
    return Price(source="test", known_at=end + timedelta(minutes=2), point="LZ_WEST", market=market, over=over, usd_per_mwh=usd)


def seen_at(at: datetime, *facts: Fact) -> Outlook:
    return outlook(FactBook().after(facts), at, plan_grid(at, 15, 4), ["LZ_WEST"], Market.ERCOT, 45.0)


def test_the_interval_under_way_is_its_dispatch_runs_so_far_and_the_indicative_rest() -> None:
    at = QUARTER + FIVE + PUBLISHED
    steps = [120.0, 40.0, 41.0, 42.0, 50.0, 50.0, 50.0, 60.0, 60.0, 60.0]
    seen = seen_at(at, settled(QUARTER, 25.0), run(QUARTER, 30.0), run(QUARTER + FIVE, 90.0), look_ahead(QUARTER + 2 * FIVE, steps))
    price, basis = seen.price("LZ_WEST").values, seen.basis["LZ_WEST"]
    assert price[:4].tolist() == pytest.approx([80.0, 41.0, 50.0, 60.0])
    assert basis[:4] == (Basis.ESTIMATED, Basis.INDICATIVE, Basis.INDICATIVE, Basis.INDICATIVE)
    assert price[4] == 60.0 and basis[4] is Basis.HELD, "the quarter hour that begins within the hour"
    assert seen.notes[0] == (
        "The price at LZ_WEST of the interval under way, $80.00/MWh, is estimated from 2 dispatch runs so far and its indicative prices "
        "for the rest."
    )


def test_without_a_look_ahead_run_the_newest_dispatch_run_holds() -> None:
    seen = seen_at(QUARTER + FIVE + PUBLISHED, settled(QUARTER, 25.0), run(QUARTER, 30.0), run(QUARTER + FIVE, 90.0))
    assert seen.price("LZ_WEST").values[:2].tolist() == pytest.approx([70.0, 70.0])
    assert seen.basis["LZ_WEST"][:2] == (Basis.ESTIMATED, Basis.HELD)
    assert "the newest run for the rest" in seen.notes[0]


def test_a_look_ahead_run_that_is_too_old_is_not_used() -> None:
    at = QUARTER + 3 * FIVE
    old = look_ahead(QUARTER, [400.0] * 11, known_at=at - timedelta(minutes=13))
    seen = seen_at(at, settled(QUARTER, 25.0), old)
    assert seen.price("LZ_WEST").values[0] == 25.0 and seen.basis["LZ_WEST"][0] is Basis.HELD


def test_runs_of_the_interval_before_say_nothing_of_this_one() -> None:
    seen = seen_at(QUARTER + PUBLISHED / 2, settled(QUARTER, 25.0), run(QUARTER - FIVE, 300.0))
    assert seen.price("LZ_WEST").values[0] == 25.0


def test_a_dispatch_run_makes_up_for_a_stale_settled_price() -> None:
    seen = seen_at(QUARTER + PUBLISHED, settled(QUARTER - timedelta(hours=2), 25.0), run(QUARTER, 33.0))
    assert seen.price_basis is PriceBasis.REAL_TIME and seen.price("LZ_WEST").values[0] == 33.0


def test_dispatch_runs_are_never_the_newest_published_price_where_the_market_settles_on_another() -> None:
    book = FactBook().after([settled(QUARTER, 25.0), run(QUARTER, 900.0)])
    last = book.last_price("LZ_WEST")
    assert last is not None and last.usd_per_mwh == 25.0
    assert [p.usd_per_mwh for p in book.real_time("LZ_WEST", Interval(QUARTER - 3 * FIVE, QUARTER + FIVE))] == [25.0]


def test_reserve_follows_its_runs_too() -> None:
    at, over = QUARTER + PUBLISHED, Interval(QUARTER, QUARTER + FIVE)
    day_ahead = Interval(QUARTER, QUARTER + timedelta(hours=1))
    ahead = Interval(QUARTER + FIVE, QUARTER + 6 * FIVE)
    reserve = [
        ReservePrice(source="t", known_at=at - timedelta(days=1), product="ECRS", market="DAM", over=day_ahead, usd_per_mw_h=2.0),
        ReservePrice(source="t", known_at=at, product="ECRS", market="REAL_TIME_SCED", over=over, usd_per_mw_h=30.0),
        IndicativeReservePrices(source="t", known_at=at, product="ECRS", over=ahead, usd_per_mw_h=(30.0, 60.0, 9.0, 9.0, 9.0)),
    ]
    seen = seen_at(at, settled(QUARTER, 25.0), *reserve)
    assert seen.reserve["ECRS"].values[:2].tolist() == pytest.approx([40.0, 9.0])
    assert seen.reserve_basis["ECRS"][:2] == (Basis.ESTIMATED, Basis.INDICATIVE)


def test_an_implausible_look_ahead_run_waits_in_quarantine_and_the_next_one_is_used() -> None:
    wild = look_ahead(QUARTER, [30.0, 90_000.0, 30.0])
    book = FactBook().after([wild])
    assert not book.indicative and book.quarantined == (wild,)
    sane = look_ahead(QUARTER + FIVE, [31.0, 32.0])
    assert book.after([sane]).indicative["LZ_WEST"] == (sane,)


def test_the_book_keeps_the_newest_look_ahead_run_and_some_hours_of_dispatch_runs() -> None:
    runs = [run(QUARTER + n * FIVE, float(n)) for n in range(3 * 288)]
    ahead = [look_ahead(QUARTER + n * FIVE, [1.0, 2.0]) for n in range(40)]
    book = FactBook().after([*runs, *reversed(ahead)]).prune(runs[-1].over.end - KEEP)
    assert len(book.prices["LZ_WEST", PriceMarket.REAL_TIME_SCED]) <= 73 and book.indicative["LZ_WEST"] == (ahead[-1],)
    assert np.isfinite(book.prices["LZ_WEST", PriceMarket.REAL_TIME_SCED][-1].usd_per_mwh)
