"""Scenarios are drawn from what prices did, whole days at a time, and never touch what is published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from markets.factbook import FactBook
from markets.facts import Price, PriceMarket, ReservePrice
from markets.forecasting.scenarios import Days, held_note, reserve_residual_days, residual_days, scenarios, shared_dates
from markets.grid import Grid, Interval
from markets.outlook import Basis, Outlook
from markets.series import Series

AT = datetime(2026, 8, 20, 16, tzinfo=UTC)
DAY = timedelta(days=1)
LAST = date(2026, 8, 19)  # the last whole day before then


def ahead() -> Outlook:
    over = Grid.regular(AT, AT + timedelta(hours=30), 30)
    basis = (Basis.PUBLISHED,) * 20 + (Basis.FORECAST,) * 40
    price = Series(over, np.arange(60.0), "usd_per_mwh")
    return Outlook(AT, over, {"LZ": price, "HB": price}, {"LZ": basis, "HB": basis}, Series.flat(over, 45, ""), Series.flat(over, 20, ""))


def test_each_interval_moves_by_the_residual_of_its_hour():
    days = {LAST - back * DAY: np.arange(24.0) + 24 * back for back in range(2)}
    made = scenarios(ahead(), {"LZ": days}, 3, 200)
    moved = np.array([s.energy["LZ"].values - ahead().energy["LZ"].values for s in made])
    assert (moved[:, 0] == 0).all()  # now is published; the day-ahead prices after it are not the real ones
    hours = [(AT + timedelta(minutes=30 * t)).hour for t in range(60)]
    for t in range(1, 60):
        assert set(moved[:, t]) == {float(hours[t]), 24.0 + hours[t]}
    assert (moved[:, 17] - moved[:, 18] == hours[17] - hours[18]).all() or hours[18] == 0
    assert all((s.energy["HB"].values == ahead().energy["HB"].values).all() for s in made)
    again = scenarios(ahead(), {"LZ": days}, 3, 200)
    assert all((a.energy["LZ"].values == b.energy["LZ"].values).all() for a, b in zip(made, again, strict=True))


def test_residuals_are_complete_days_of_both_markets():
    found = residual_days(FactBook().after(prices("LZ", missing=(2, 5))), "LZ", AT, 10)
    assert list(found) == [LAST, LAST - 2 * DAY]
    np.testing.assert_allclose(list(found.values()), [[2.5] * 24, [4.5] * 24])


def test_every_point_and_product_moves_by_the_same_date():
    """HB knows three days, LZ lacks one quarter hour of the second, and the reserve product knows all: the second day is drawn nowhere."""
    book = FactBook().after([*prices("HB"), *prices("LZ", missing=(2, 5), dearer_usd=100.0), *reserve_prices()])
    energy = {point: residual_days(book, point, AT, 7) for point in ("HB", "LZ")}
    reserve = {"ECRS": reserve_residual_days(book, "ECRS", AT, 7)}
    assert shared_dates(energy, reserve) == (LAST, LAST - 2 * DAY)
    assert held_note(energy, reserve) == ""
    before = replace(ahead(), reserve={"ECRS": Series.flat(ahead().grid, 50.0, "usd_per_mw_h")})
    pairs = set()
    for one in scenarios(before, energy, 3, 50, reserve):
        moved = [one.energy[point].values[1:] - before.energy[point].values[1:] for point in ("HB", "LZ")]
        moved.append(one.reserve["ECRS"].values[1:] - 50.0)
        pairs |= {tuple(round(float(usd), 6) for usd in usds) for usds in zip(*moved, strict=True)}
    assert pairs == {(2.5, 102.5, 1.0), (4.5, 104.5, 3.0)}


@pytest.mark.parametrize(
    ("hb", "lz", "ecrs", "dates", "held"),
    [
        ((1, 2, 3), (), (), (1, 2, 3), "LZ, ECRS"),
        ((1, 2), (3,), (3,), (3,), "HB"),
        ((1, 2, 3), (2, 3), (1,), (2, 3), "ECRS"),
        ((2, 3), (1,), (), (1,), "HB, ECRS"),
        ((), (), (1,), (), "HB, LZ, ECRS"),
        ((1, 2, 3), (2, 3), (3, 4), (3,), ""),
        ((1, 2, 3, 4, 5), (1, 2), (1,), (1, 2, 3, 4, 5), "LZ, ECRS"),
    ],
    ids=[
        "a point without a day",
        "most products",
        "points before products",
        "the newest",
        "no point",
        "all share one",
        "new feeds",
    ],
)
def test_where_no_date_is_shared_those_move_that_share_most(
    hb: Iterable[int], lz: Iterable[int], ecrs: Iterable[int], dates: Iterable[int], held: str
) -> None:
    energy, reserve = {"HB": known(hb), "LZ": known(lz)}, {"ECRS": known(ecrs)}
    assert shared_dates(energy, reserve) == tuple(LAST - back * DAY for back in dates)
    said = held_note(energy, reserve)
    assert said.startswith(f"price scenarios do not move the prices of {held}: too few complete days") if held else not said
    before = replace(ahead(), reserve={"ECRS": Series.flat(ahead().grid, 50.0, "usd_per_mw_h")})
    (one,) = scenarios(before, energy, 3, 1, reserve)
    for name, was, now in (
        *((point, before.energy[point], one.energy[point]) for point in energy),
        ("ECRS", before.reserve["ECRS"], one.reserve["ECRS"]),
    ):
        assert bool((was.values == now.values).all()) == (name in held.split(", "))


def known(days_back: Iterable[int]) -> Days:
    return {LAST - back * DAY: np.full(24, 1.0 + back) for back in days_back}


def prices(point: str, missing: tuple[int, int] | None = None, dearer_usd: float = 0.0) -> list[Price]:
    """Three days of both markets, real time the dearer the longer ago; without the last quarter of the hour `missing` (days back, hour)."""
    facts = []
    for back in (1, 2, 3):
        for hour in range(24):
            start = AT.replace(hour=hour) - back * DAY
            facts.append(_price(PriceMarket.DAY_AHEAD_HOURLY, Interval(start, start + timedelta(hours=1)), 30.0, point))
            for q in range(3 if (back, hour) == missing else 4):
                quarter = Interval(start + q * timedelta(minutes=15), start + (q + 1) * timedelta(minutes=15))
                facts.append(_price(PriceMarket.REAL_TIME_15_MIN, quarter, 30.0 + dearer_usd + back + q, point))
    return facts


def reserve_prices() -> list[ReservePrice]:
    """Three days of both markets of a reserve product, real time the dearer the longer ago."""
    facts = []
    for back in (1, 2, 3):
        for hour in range(24):
            start = AT.replace(hour=hour) - back * DAY
            over = Interval(start, start + timedelta(hours=1))
            for market, usd in (("DAM", 5.0), (PriceMarket.REAL_TIME_15_MIN, 5.0 + back)):
                facts.append(ReservePrice(source="test", known_at=start, product="ECRS", over=over, market=market, usd_per_mw_h=usd))
    return facts


def _price(market: PriceMarket, over: Interval, usd: float, point: str) -> Price:
    return Price(source="test", known_at=over.start - DAY, point=point, over=over, market=market, usd_per_mwh=usd)
