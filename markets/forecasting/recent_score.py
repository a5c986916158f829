"""How a price model would have decided lately, against the last price. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from markets.factbook import FactBook
from markets.forecasting.price_features import PriceHistory, features
from markets.forecasting.price_model import PriceModel
from markets.grid import Interval

SCORED = timedelta(days=5)
LEAST = timedelta(days=2)  # a day or less says nothing


@dataclass(frozen=True, slots=True)
class RecentScore:
    """What decisions lost against knowing the price, in the mean over break-evens and intervals of the last `hours`, usd_per_mwh."""

    hours: float = 0.0
    model_usd_per_mwh: float = 0.0
    last_price_usd_per_mwh: float = 0.0

    @property
    def worse(self) -> bool:
        """Whether the model did worse than the last price over at least two days."""
        return self.hours >= LEAST.total_seconds() / 3600 and self.model_usd_per_mwh > self.last_price_usd_per_mwh


def recent_score(model: PriceModel, book: FactBook, break_evens: Sequence[float]) -> RecentScore:
    """The score of a model over the prices that a book still has. Its own forecasts are made again, from what was known each time."""
    last = book.last_price(model.point)
    step_s = model.step_min * 60
    if last is None:
        return RecentScore()
    over = Interval(last.over.end - SCORED - timedelta(days=1), last.over.end)
    history = PriceHistory.over(book, model.point, over, step_s, model.market)
    rows = np.arange(24 * 3600 // step_s, len(history.real_time), dtype=np.int64)
    rows = rows[np.isfinite(history.real_time[rows]) & np.isfinite(history.real_time[rows - 1])]
    if not len(rows):
        return RecentScore()
    columns, price, before = features(history, rows), history.real_time[rows], history.real_time[rows - 1]
    expected = model.decision_prices(columns)
    lost = {"model": 0.0, "last": 0.0}
    for break_even in break_evens:
        stake = np.abs(break_even - price) / len(rows) / len(break_evens)
        for name, decided_on in (("model", expected), ("last", before)):
            lost[name] += float(stake[(decided_on < break_even) != (price < break_even)].sum())
    return RecentScore(len(rows) * step_s / 3600, lost["model"], lost["last"])
