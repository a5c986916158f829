"""What the last price says of the next hour: where it returns to, on days on which the day-ahead price is right and on others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from markets.factbook import FactBook
from markets.facts import Fact, Price, PriceMarket
from markets.forecasting.ladder import outlook, plan_grid
from markets.forecasting.last_price_ahead import day_ahead_error, last_price_ahead
from markets.grid import Grid, Interval, Market
from markets.outlook import Basis

NOON = datetime(2024, 5, 8, 17, tzinfo=UTC)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)


def price(start: datetime, length: timedelta, market: PriceMarket, usd: float) -> Price:
    return Price(source="test", known_at=start, point="HB_WEST", market=market, over=Interval(start, start + length), usd_per_mwh=usd)


def book(real_time: Sequence[float], day_ahead: float | None = 30.0) -> FactBook:
    """Quarter hours up to noon, and day-ahead prices around it."""
    first = NOON - len(real_time) * QUARTER
    facts: list[Fact] = [price(first + n * QUARTER, QUARTER, PriceMarket.REAL_TIME_15_MIN, usd) for n, usd in enumerate(real_time)]
    if day_ahead is not None:
        facts += [price(NOON + n * HOUR, HOUR, PriceMarket.DAY_AHEAD_HOURLY, day_ahead) for n in range(-6, 12)]
    return FactBook().after(facts)


def expected(facts: FactBook) -> list[float]:
    seen = outlook(facts, NOON, plan_grid(NOON, 15, 6), ["HB_WEST"], Market.ERCOT, 45.0)
    assert seen.basis["HB_WEST"][:4] == (Basis.HELD,) * 4
    return [float(usd) for usd in seen.energy["HB_WEST"].values[:5]]


@pytest.mark.parametrize(
    ("real_time", "returns_to"),
    [
        ([31.0, 29.0, 30.0, 120.0], 30.5),  # one dear interval: half a dollar is its median error
        ([30.0] * 5 + [118.0, 122.0, 120.0, 120.0], 120.0),  # the day-ahead price has been wrong for an hour
        ([-20.0, -22.0, -18.0, -20.0], -20.0),  # it was too dear
    ],
    ids=["a spike", "an hour of dear prices", "an hour of cheap prices"],
)
def test_the_last_price_returns_to_the_day_ahead_price_moved_by_its_error_of_the_last_hour(real_time, returns_to):
    facts, last = book(real_time), real_time[-1]
    assert day_ahead_error(facts, "HB_WEST") == pytest.approx(returns_to - 30.0)
    *hour, after = expected(facts)
    left = [math.exp(-minutes / 20.0) for minutes in (0, 15, 30, 45)]
    assert hour == pytest.approx([share * last + (1.0 - share) * returns_to for share in left])
    assert after == 30.0, "beyond the hour the published day-ahead price stands"


def test_without_a_day_ahead_price_no_error_is_known_and_the_last_price_holds():
    facts = book([30.0, 118.0, 122.0, 120.0, 120.0], day_ahead=None)
    assert day_ahead_error(facts, "HB_WEST") == 0.0
    assert expected(facts)[:4] == [120.0] * 4


@pytest.mark.parametrize(("real_time", "error_usd"), [([29.0, 120.0], 0.0), ([29.0, 120.0, 118.0], 88.0)], ids=["two", "three"])
def test_an_error_is_known_from_three_prices_on(real_time, error_usd):
    """Of two the median is half a spike."""
    assert day_ahead_error(book(real_time), "HB_WEST") == pytest.approx(error_usd)


def test_hourly_prices_are_too_few_in_an_hour_to_tell_an_error():
    """A market of hourly prices has one in the last hour: it returns to the day-ahead price as published."""
    hourly = [price(NOON - n * HOUR, HOUR, PriceMarket.REAL_TIME_HOURLY, 120.0) for n in range(1, 7)]
    ahead = [price(NOON + n * HOUR, HOUR, PriceMarket.DAY_AHEAD_HOURLY, 30.0) for n in range(-6, 12)]
    facts = FactBook().after([*hourly, *ahead])
    assert day_ahead_error(facts, "HB_WEST") == 0.0
    now, later = last_price_ahead(facts, "HB_WEST", np.full(2, 30.0), NOON, Grid.regular(NOON, NOON + 2 * HOUR, 60))
    assert (now, later) == (120.0, pytest.approx(30.0 + 90.0 * math.exp(-3.0)))
