"""Scenarios are drawn from what prices did, whole days at a time, and never touch what is published."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from markets.factbook import FactBook
from markets.facts import Price, PriceMarket
from markets.forecasting.scenarios import residual_days, scenarios
from markets.grid import Grid, Interval
from markets.outlook import Basis, Outlook
from markets.series import Series

AT = datetime(2026, 8, 20, 16, tzinfo=UTC)
DAY = timedelta(days=1)


def ahead() -> Outlook:
    over = Grid.regular(AT, AT + timedelta(hours=30), 30)
    basis = (Basis.PUBLISHED,) * 20 + (Basis.FORECAST,) * 40
    price = Series(over, np.arange(60.0), "usd_per_mwh")
    return Outlook(AT, over, {"LZ": price, "HB": price}, {"LZ": basis, "HB": basis}, Series.flat(over, 45, ""), Series.flat(over, 20, ""))


def test_each_interval_moves_by_the_residual_of_its_hour():
    days = np.arange(48.0).reshape(2, 24)
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
    facts = []
    for back in (1, 2, 3):
        midnight = AT.replace(hour=0) - back * DAY
        for hour in range(24):
            start = midnight + timedelta(hours=hour)
            over = Interval(start, start + timedelta(hours=1))
            facts.append(_price(PriceMarket.DAY_AHEAD_HOURLY, over, 30.0))
            for q in range(4 if (back, hour) != (2, 5) else 3):
                quarter = Interval(start + q * timedelta(minutes=15), start + (q + 1) * timedelta(minutes=15))
                facts.append(_price(PriceMarket.REAL_TIME_15_MIN, quarter, 30.0 + back + q))
    found = residual_days(FactBook().after(facts), "LZ", AT, 10)
    np.testing.assert_allclose(found, [[2.5] * 24, [4.5] * 24])


def _price(market: PriceMarket, over: Interval, usd: float) -> Price:
    return Price(source="test", known_at=over.start - DAY, point="LZ", over=over, market=market, usd_per_mwh=usd)
