"""The score of a running site's forecasts, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from markets.facts import PriceForecast
from markets.forecasting.forecast_score import ExpectedPrice, Load, expected_prices, forecast_score
from markets.grid import Interval

NOON, QUARTER = datetime(2026, 8, 20, 17, tzinfo=UTC), timedelta(minutes=15)
LEVELS = (0.25, 0.75)


def over(n: int) -> Interval:
    return Interval(NOON + n * QUARTER, NOON + (n + 1) * QUARTER)


def expected(n: int, usd: float, last: float, low: float, high: float) -> ExpectedPrice:
    return ExpectedPrice(over(n), usd, LEVELS, (low, high), last)


def test_dollars_pinball_and_coverage_by_hand() -> None:
    made = [expected(0, 40.0, 90.0, 30.0, 50.0), expected(1, 90.0, 40.0, 60.0, 100.0), expected(2, 10.0, 10.0, 0.0, 20.0)]
    prices = {over(0): 50.0, over(1): 70.0}  # the third has no price yet
    found = forecast_score(made, prices, [Load(60.0, 2.0), Load(80.0, 1.0)])
    assert found is not None and found.intervals == 2
    # By the forecast both loads run at $50 and sleep at $70: the second, worth $80, loses $10 for a quarter of an hour.
    assert found.lost_usd == 2.5
    # By the last price both sleep at $50 (10 x 2 + 30 x 1) and run at $70 (10 x 2), a quarter of an hour each.
    assert found.last_price_lost_usd == (20.0 + 30.0 + 20.0) / 4
    assert found.covered == {0.25: 0.0, 0.75: 1.0}
    assert found.pinball_usd_per_mwh == (0.25 * 20 + 0.25 * 0 + 0.25 * 10 + 0.25 * 30) / 4
    assert forecast_score(made[2:], prices, []) is None and forecast_score([], prices, []) is None
    by_interval = [Load({over(0).start: 60.0, over(1).start: 80.0}, 1.0)]  # right at 60, wrong by 10 at 80
    assert (changing := forecast_score(made, prices, by_interval)) is not None and changing.lost_usd == 10.0 / 4


def test_a_forecast_is_one_expectation_an_interval() -> None:
    forecast = PriceForecast(
        source="m", known_at=NOON, point="LZ", over=Interval(NOON, NOON + 2 * QUARTER), usd_per_mwh=(1.0, 2.0), levels=LEVELS,
        quantiles=((0.0, 0.5), (3.0, 4.0)), spike_usd_per_mwh=250.0, spike_probability=(0.0, 0.0), model="m",
    )  # fmt: skip
    assert expected_prices(forecast, 7.0) == [expected(0, 1.0, 7.0, 0.0, 3.0), expected(1, 2.0, 7.0, 0.5, 4.0)]
