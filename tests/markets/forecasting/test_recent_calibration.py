"""Quantiles of a model that was trained on other prices: after a few days the right share of prices stays under each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest

from markets.factbook import FactBook
from markets.forecasting.price_model import PriceModel
from markets.forecasting.recent_calibration import recalibrated
from tests.markets.forecasting.test_price_model import NOON, QUARTER, forecast_of, leaf, model, quarter

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
TRAINED = model(levels=LEVELS, quantiles=tuple(leaf(q) for q in (-0.2, -0.1, 0.0, 0.1, 0.2)), widening=(0.0,) * 5, last_weight=(1.0,) * 16)


def known(usd: Sequence[float]) -> FactBook:
    """Prices that end at noon, the newest last."""
    return FactBook().after([quarter(NOON - (len(usd) - n) * QUARTER, value) for n, value in enumerate(usd)])


def covered(usd: np.ndarray, first: int, made: PriceModel) -> list[float]:
    """By level, the share of prices from `first` on at or under the quantile of a forecast that knows those before."""
    under = []
    for n in range(first, len(usd)):
        book = FactBook().after([quarter(NOON + k * QUARTER, float(usd[k])) for k in range(n - 4, n)])
        forecast = forecast_of(made, book, NOON + n * QUARTER + timedelta(minutes=2))
        under.append([usd[n] <= steps[0] for steps in forecast.quantiles])
    return np.mean(under, axis=0).tolist()


def test_coverage_is_right_within_a_few_points_where_it_was_off_by_twenty() -> None:
    rng = np.random.default_rng(8)
    usd = np.round(45.0 + 16.0 * rng.standard_normal(9 * 96), 2)  # wider than what the model learned, and not around the last price
    six_days = 6 * 96
    before = covered(usd, six_days, TRAINED)
    after = covered(usd, six_days, recalibrated(TRAINED, known(usd[:six_days].tolist())))
    assert max(abs(share - level) for share, level in zip(before, LEVELS, strict=True)) > 0.2
    assert after == pytest.approx(list(LEVELS), abs=0.06)


def test_too_few_days_and_gaps_leave_the_model_as_it_was_trained() -> None:
    assert recalibrated(TRAINED, FactBook()) is TRAINED
    assert recalibrated(TRAINED, known([30.0] * 4 * 96)) is TRAINED  # the first day has no day before it
    with_holes = [quarter(NOON - k * QUARTER, 30.0 + k % 7) for k in range(1, 6 * 96) if k % 3]
    assert recalibrated(TRAINED, FactBook().after(with_holes)) is TRAINED
