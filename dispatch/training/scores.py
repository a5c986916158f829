"""Scores of a price model against the last price: regret of the decision, pinball loss, coverage and Brier score."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.forecasting.price_model import SCALE_USD, PriceModel

Floats = NDArray[np.float64]
BREAK_EVENS = (40.0, 60.0, 90.0)


def last_price_pays(last: Floats, break_even: float) -> NDArray[np.bool_]:
    """What the last price says: run while it is under the break-even, or unknown."""
    return np.isnan(last) | (last < break_even)


def regret_scores(model: PriceModel, columns: Floats, price: Floats) -> dict[str, Any]:
    """What decisions lose against knowing the price, of the model and of the last price, usd_per_mwh of capacity over all intervals, by
    break-even and in the mean; and the share of perfect foresight over always-on that each takes."""
    by_break_even: dict[str, Any] = {}
    expected = model.decision_prices(columns)
    for break_even in BREAK_EVENS:
        gain = break_even - price
        best, always = float(np.maximum(gain, 0.0).sum()), float(gain.sum())
        took = {
            "model": float(gain[expected < break_even].sum()),
            "last_price": float(gain[last_price_pays(columns[:, 0], break_even)].sum()),
        }
        by_break_even[f"{break_even:g}"] = {
            **{name: round((best - usd) / len(price), 4) for name, usd in took.items()},
            "share": {name: round((usd - always) / (best - always), 4) if best > always else None for name, usd in took.items()},
        }
    mean = {name: round(float(np.mean([by[name] for by in by_break_even.values()])), 4) for name in ("model", "last_price")}
    return {"regret_usd_per_mwh": mean, "by_break_even": by_break_even}


def spread_scores(model: PriceModel, rows: Floats, base: Floats, outcome: Floats) -> dict[str, Any]:
    """Of the quantiles the share of outcomes under each and the pinball loss, beside that of the last price mixed with day-ahead prices as
    every quantile; of the chance of a spike the Brier score, beside that of the mean frequency."""
    coverage, pinball = {}, {"model": 0.0, "naive": 0.0}
    for level, trees, more in zip(model.levels, model.quantiles, model.widening, strict=True):
        found = SCALE_USD * np.sinh(base + trees.sums(rows) + more)
        coverage[f"{level:g}"] = round(float((outcome <= found).mean()), 4)
        for name, expected in (("model", found), ("naive", SCALE_USD * np.sinh(base))):
            miss = outcome - expected
            pinball[name] += float(np.maximum(level * miss, (level - 1) * miss).mean()) / len(model.levels)
    chance, spiked = 1.0 / (1.0 + np.exp(-model.spike.sums(rows))), outcome > model.spike_usd_per_mwh
    return {
        "coverage": coverage,
        "pinball_usd_per_mwh": {name: round(loss, 4) for name, loss in pinball.items()},
        "spike_brier": {
            "model": round(float(np.mean((chance - spiked) ** 2)), 6),
            "mean_frequency": round(float(spiked.mean() * (1 - spiked.mean())), 6),
        },
    }
