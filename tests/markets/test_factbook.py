from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from markets.factbook import FactBook, day_ahead_point
from markets.facts import (
    Fact,
    GridStatus,
    HashEconomics,
    HashPrice,
    LoadForecast,
    Price,
    PriceMarket,
    ReservePrice,
    SystemLoad,
    Temperature,
)
from markets.grid import Interval

T0 = datetime(2026, 7, 10, 5, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def rt(start: datetime, usd: float, known: datetime | None = None, point: str = "LZ_WEST", source: str = "test") -> Price:
    over = Interval(start, start + QUARTER)
    known_at = known or over.end + timedelta(minutes=2)
    return Price(source=source, known_at=known_at, point=point, market=PriceMarket.REAL_TIME_15_MIN, over=over, usd_per_mwh=usd)


def dam(start: datetime, usd: float, point: str = "LZ_WEST") -> Price:
    return Price(
        source="test", known_at=T0, point=point, market=PriceMarket.DAY_AHEAD_HOURLY, over=Interval(start, start + HOUR), usd_per_mwh=usd
    )


def hour(k: int) -> Interval:
    return Interval(T0 + k * HOUR, T0 + (k + 1) * HOUR)


def a_days_facts() -> list[Fact]:
    facts: list[Fact] = [rt(T0 + k * QUARTER, 20.0 + k) for k in range(96)]
    facts += [dam(T0 + k * HOUR, 30.0 + k) for k in range(24)]
    facts += [Temperature(source="t", known_at=T0, over=hour(k), celsius=20.0 + k) for k in range(24)]
    facts += [SystemLoad(source="t", known_at=T0, over=hour(k), load_mw=5e4 + k) for k in range(24)]
    facts += [LoadForecast(source="t", known_at=T0, over=hour(k), load_mw=5e4) for k in range(24)]
    facts += [ReservePrice(source="t", known_at=T0, product="ECRS", market="DAM", over=hour(k), usd_per_mw_h=1.0 + k) for k in range(24)]
    facts += [
        rt(T0 + 8 * QUARTER, 999.0, known=T0 + timedelta(days=3)),
        GridStatus(source="t", known_at=T0, at=T0, level="normal", prc_mw=6000.0),
    ]
    return facts


def test_equal_facts_make_equal_books_in_any_order_and_any_cut() -> None:
    facts = a_days_facts()
    whole = FactBook().after(facts)
    for seed in range(5):
        mixed = random.Random(seed).sample(facts, len(facts))
        book = FactBook()
        while mixed:
            cut = random.Random(len(mixed)).randint(1, 40)
            book, mixed = book.after(mixed[:cut]), mixed[cut:]
        assert book == whole
    assert whole.after(facts) == whole


def test_the_newest_vintage_wins_and_an_older_one_changes_nothing() -> None:
    first, corrected = rt(T0, 925.18), rt(T0, 353.16, known=T0 + timedelta(days=9))
    for order in ([first, corrected], [corrected, first]):
        book = FactBook()
        for fact in order:
            book = book.after([fact])
        assert book.last_price("LZ_WEST") == corrected


def test_a_book_is_not_changed_by_the_one_after_it() -> None:
    before = FactBook().after([rt(T0, 20.0)])
    before.after([rt(T0 + QUARTER, 21.0)])
    assert before.recent("LZ_WEST", 24) == (rt(T0, 20.0),)


def test_lookups_of_a_book() -> None:
    book = FactBook().after(a_days_facts())
    assert [p.usd_per_mwh for p in book.recent("LZ_WEST", 1)] == [112.0, 113.0, 114.0, 115.0]
    assert book.last_price("LZ_NORTH") is None and book.recent("LZ_NORTH", 1) == ()
    assert [p.usd_per_mwh for p in book.dam("LZ_WEST", Interval(T0 + timedelta(minutes=90), T0 + timedelta(hours=3)))] == [31.0, 32.0]
    assert [p.usd_per_mw_h for p in book.reserve("ECRS", Interval(T0, T0 + HOUR))] == [1.0]
    air = book.temperature(T0 + timedelta(minutes=61))
    assert air is not None and air.celsius == 21.0
    load = book.system_load()
    assert load is not None and load.load_mw == 5e4 + 23


@pytest.mark.parametrize(
    ("point", "zone"), [("LZ_WEST_EW", "LZ_WEST"), ("LZ_WEST", "LZ_WEST"), ("HB_WEST", "HB_WEST"), ("TEXAS.HUB", "TEXAS.HUB")]
)
def test_the_energy_weighted_zone_has_the_day_ahead_price_of_its_zone(point: str, zone: str) -> None:
    assert day_ahead_point(point) == zone


def test_of_runs_that_end_together_the_settlement_run_counts() -> None:
    over = Interval(T0 + timedelta(minutes=10), T0 + QUARTER)
    sced = Price(source="t", known_at=T0, point="LZ_WEST", market=PriceMarket.REAL_TIME_SCED, over=over, usd_per_mwh=1.0)
    book = FactBook().after([sced, rt(T0, 2.0)])
    last = book.last_price("LZ_WEST")
    assert last is not None and last.usd_per_mwh == 2.0


def economics(on: date, btc_usd: float = 60_000.0) -> HashEconomics:
    known = datetime(on.year, on.month, on.day, tzinfo=UTC) + timedelta(days=1)
    return HashEconomics(source="t", known_at=known, on=on, difficulty=1.0e14, btc_usd=btc_usd, fees_btc_per_block=0.1, subsidy_btc=3.125)


def test_a_day_is_planned_on_yesterdays_hashprice_and_settled_on_its_own() -> None:
    day = date(2026, 7, 10)
    book = FactBook().after([economics(day - timedelta(days=1)), economics(day, 66_000.0)])
    during = FactBook().after([economics(day - timedelta(days=1))]).hashprice(T0)
    own = book.hashprice_on(day)
    assert during is not None and own is not None
    assert during.over == Interval(datetime(2026, 7, 10, tzinfo=UTC), datetime(2026, 7, 11, tzinfo=UTC))
    assert own.usd_per_ph_day == pytest.approx(during.usd_per_ph_day * 1.1)
    assert during.usd_per_ph_day == pytest.approx(1e15 * 86400 / (1e14 * 2**32) * 3.225 * 60_000)


def test_a_hashprice_that_holds_comes_before_economics_and_before_one_that_ended() -> None:
    book = FactBook().after([economics(date(2026, 7, 8))])
    old = HashPrice(
        source="f", known_at=T0 - timedelta(days=2), over=Interval(T0 - timedelta(days=2), T0), usd_per_ph_day=1.0, basis="fixed"
    )
    now = HashPrice(source="f", known_at=T0, over=Interval(T0, T0 + timedelta(days=1)), usd_per_ph_day=45.0, basis="fixed")
    assert book.after([old, now]).hashprice(T0) == now
    from_economics = book.after([old]).hashprice(T0)
    assert from_economics is not None and "2026-07-08" in from_economics.basis
    assert FactBook().after([old]).hashprice(T0) == old


def test_pruning_bounds_the_book_and_keeps_the_newest_of_each() -> None:
    facts = a_days_facts()
    book = FactBook().after([*facts, economics(date(2026, 7, 1))]).prune(T0 + timedelta(hours=20))
    assert all(p.over.end > T0 + timedelta(hours=20) for shelf in book.prices.values() for p in shelf)
    gone = book.prune(T0 + timedelta(days=30))
    last = gone.last_price("LZ_WEST")
    assert last is not None and last.usd_per_mwh == 115.0 and len(gone.economics) == 1
    assert gone.prune(T0 + timedelta(days=30)) == gone


def test_a_temperature_counts_until_the_next_reading_is_due() -> None:
    """Readings of a quarter hour each, an hour apart: between them the newest one counts for half an hour, then nothing is known."""
    quarter = Interval(T0, T0 + timedelta(minutes=15))
    book = FactBook().after([Temperature(source="t", known_at=T0, over=quarter, celsius=38.0)])
    known = {minute: book.temperature(T0 + timedelta(minutes=minute)) for minute in (-1, 0, 14, 15, 44, 45)}
    assert {minute: found and found.celsius for minute, found in known.items()} == {
        -1: None,
        0: 38.0,
        14: 38.0,
        15: 38.0,
        44: 38.0,
        45: None,
    }
