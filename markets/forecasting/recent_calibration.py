"""The quantiles of a price model moved to what prices did lately, so that the right share of prices stays under each. Pure.

A model is calibrated when it is trained, on months that are past when it is used: prices have moved on by then. So conformal calibration
is made again on the days that a book of facts holds; a few are enough, since it is made again each day.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from markets.factbook import FactBook
from markets.forecasting.price_features import PriceHistory, features
from markets.forecasting.price_model import PriceModel, distribution_rows, mixed, scaled
from markets.grid import Interval

CALIBRATED = timedelta(days=5)
LEAST = timedelta(days=4)


def recalibrated(model: PriceModel, book: FactBook) -> PriceModel:
    """The model with its quantiles moved by what they were wrong by over the last five days; as it was trained where the book has less
    than four days of prices. Each interval of these days is forecast once, from one, two, three ... intervals before it in turn."""
    last = book.last_price(model.point)
    step_s = model.step_min * 60
    if last is None:
        return model
    over = Interval(last.over.end - CALIBRATED - timedelta(days=1), last.over.end)
    history = PriceHistory.over(book, model.point, over, step_s, model.market)
    rows = np.arange(24 * 3600 // step_s, len(history.real_time), dtype=np.int64)
    steps = rows % len(model.last_weight)
    columns = features(history, rows - steps)
    outcome, ahead = history.real_time[rows], history.day_ahead[rows]
    base = scaled(mixed(columns[:, 0], ahead, np.array(model.last_weight)[steps]))
    known = np.isfinite(outcome) & np.isfinite(base)
    if int(known.sum()) * step_s < LEAST.total_seconds():
        return model
    seen, past = distribution_rows(columns, steps, ahead)[known], scaled(outcome)[known] - base[known]
    moved = (float(np.quantile(past - trees.sums(seen), level)) for level, trees in zip(model.levels, model.quantiles, strict=True))
    return replace(model, widening=tuple(moved))
