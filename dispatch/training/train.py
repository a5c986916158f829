"""Training of a price model: learned on the first part of a span, calibrated and scored on the rest, then learned again on all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dispatch.training.boosting import TrainingRows, boosted, library
from dispatch.training.scores import regret_scores, spread_scores
from markets.forecasting.boosted_trees import BoostedTrees
from markets.forecasting.price_features import PriceHistory, features, seen_from_break_even
from markets.forecasting.price_model import HORIZON, PriceModel, distribution_rows, mixed, scaled, starting_odds
from markets.grid import Market

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

HELD_OUT = 0.2  # the last part of the span, which the scores are measured on
LEAST_DAYS = 30
MEMBERS = 3  # sets of trees that are averaged
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SPIKE_USD = 250.0
LARGEST_STAKE_USD = 1000.0  # a single spike weighs at most as much
FAR = 0.1  # the share of rows that are kept where last price and outcome are both far on the same side of the break-even
_DECISION = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.06, "min_data_in_leaf": 100}
_SPREAD = {"num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 100}


class TooLittleData(ValueError):
    """The archive has too few prices to train on; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Intervals with a price: their features, what they became, and their positions in the history."""

    history: PriceHistory
    rows: Rows
    columns: Floats
    price: Floats

    def part(self, which: NDArray[np.bool_]) -> _Sample:
        return _Sample(self.history, self.rows[which], self.columns[which], self.price[which])


def train(history: PriceHistory, point: str, market: Market, seed: int = 0) -> PriceModel:
    """A model of a point, with its scores. Raises TooLittleData for less than 30 days of prices."""
    known = np.isfinite(history.real_time)
    all_rows = np.flatnonzero(known[1:] & known[:-1]) + 1  # the price before is what the last price decides on
    if len(all_rows) * history.step_s < LEAST_DAYS * 86_400:
        days = len(all_rows) * history.step_s / 86_400
        raise TooLittleData(f"{point}: {days:.1f} days of real-time prices are too few to train on; {LEAST_DAYS} are needed")
    sample = _Sample(history, all_rows, features(history, all_rows), history.real_time[all_rows])
    past = sample.rows < sample.rows[int(len(all_rows) * (1 - HELD_OUT))]
    held_out = sample.part(~past)
    trial = _learned(sample.part(past), point, market, seed)
    half = held_out.rows < held_out.rows[len(held_out.rows) // 2]
    checked = replace(trial, widening=_widening(trial, held_out.part(half)))
    scores = {**regret_scores(trial, held_out.columns, held_out.price), **_spread_scores(checked, held_out.part(~half))}
    about = {
        **_about(sample, history, seed),
        "held_out_from": _instant(history, int(held_out.rows[0])),
        "scores": scores,
        "accepted": scores["regret_usd_per_mwh"]["model"] <= scores["regret_usd_per_mwh"]["last_price"],
    }
    final = _learned(sample, point, market, seed)
    return replace(final, widening=_widening(trial, held_out), about=about)


def _learned(sample: _Sample, point: str, market: Market, seed: int) -> PriceModel:
    step_min = sample.history.step_s // 60
    weights = _last_weights(sample, int(HORIZON.total_seconds()) // sample.history.step_s)
    rows, base, outcome = _ahead(sample, weights, seed)
    spread, spiked = TrainingRows(rows, scaled(outcome) - base), TrainingRows(rows, (outcome > SPIKE_USD).astype(np.float64))
    return PriceModel(
        point=point,
        market=market,
        step_min=step_min,
        decisions=tuple(_decision(sample, seed * MEMBERS + member) for member in range(MEMBERS)),
        last_weight=tuple(float(w) for w in weights),
        levels=LEVELS,
        quantiles=tuple(boosted(spread, 60, {**_SPREAD, "objective": "quantile", "alpha": a, "seed": seed}) for a in LEVELS),
        widening=(0.0,) * len(LEVELS),
        spike_usd_per_mwh=SPIKE_USD,
        spike=boosted(spiked, 80, {**_SPREAD, "objective": "binary", "seed": seed}),
    )


def _decision(sample: _Sample, seed: int) -> BoostedTrees:
    """Whether running pays at break-evens drawn at random, half of them near the last price, weighed by what is at stake."""
    rng = np.random.default_rng(seed)
    parts = [_stakes(sample, rng) for _ in range(3)]
    rows, pays, stake, start = (np.concatenate(column) for column in zip(*parts, strict=True))
    return boosted(TrainingRows(rows, pays, stake / stake.mean(), start), 150, {**_DECISION, "seed": seed})


def _stakes(sample: _Sample, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    n, last = len(sample.rows), np.maximum(np.nan_to_num(sample.columns[:, 0], nan=30.0), 8.0)
    anywhere = np.exp(rng.uniform(np.log(20.0), np.log(600.0), n))
    near = np.clip(last * np.exp(rng.normal(0.0, 0.4, n)), 20.0, 600.0)
    break_even = np.where(rng.random(n) < 0.5, near, anywhere)
    log_last, log_price = (np.log(np.maximum(usd, 1.0) / break_even) for usd in (last, sample.price))
    far = (np.abs(log_last) > 1) & (np.abs(log_price) > 1) & (np.sign(log_last) == np.sign(log_price))
    kept = ~far | (rng.random(n) < FAR)
    break_even, columns, price = break_even[kept], sample.columns[kept], sample.price[kept]
    stake = np.minimum(np.abs(break_even - price), LARGEST_STAKE_USD) * np.where(far[kept], 1.0 / FAR, 1.0)
    return seen_from_break_even(columns, break_even), (price < break_even).astype(np.float64), stake, starting_odds(columns, break_even)


def _last_weights(sample: _Sample, steps: int) -> Floats:
    """By interval ahead, the weight of the last price against the day-ahead price with the least regret over break-evens, usd_per_mwh."""
    tried = np.linspace(0.0, 1.0, 11)
    found = []
    for step in range(steps):
        outcome, ahead = (_later(values, sample.rows, step) for values in (sample.history.real_time, sample.history.day_ahead))
        known = np.isfinite(outcome)
        regret = [_regret(mixed(sample.columns[known, 0], ahead[known], w), outcome[known]) for w in tried]
        found.append(tried[int(np.argmin(regret))])
    # The price under way is the trees' own; beyond it the last price cannot count for more later than sooner.
    return np.minimum.accumulate(np.array([1.0, *found[1:]]))


def _regret(expected: Floats, outcome: Floats) -> float:
    lost = 0.0
    for break_even in (40.0, 60.0, 90.0, 150.0):
        wrong = (expected < break_even) != (outcome < break_even)
        lost += float(np.minimum(np.abs(outcome - break_even), LARGEST_STAKE_USD)[wrong].sum()) / break_even
    return lost


def _ahead(sample: _Sample, weights: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
    """Rows for quantiles and spikes at intervals ahead drawn at random: features, the starting point (scaled) and the outcome."""
    rng = np.random.default_rng(seed + 1)
    steps = rng.integers(0, len(weights), len(sample.rows))
    outcome, ahead = (_later(values, sample.rows, steps) for values in (sample.history.real_time, sample.history.day_ahead))
    base = scaled(mixed(sample.columns[:, 0], ahead, weights[steps]))
    known = np.isfinite(outcome) & np.isfinite(base)
    return distribution_rows(sample.columns, steps, ahead)[known], base[known], outcome[known]


def _widening(model: PriceModel, sample: _Sample) -> tuple[float, ...]:
    """What each quantile has to be moved by so that its share of outcomes lies under it (split conformal calibration)."""
    rows, base, outcome = _ahead(sample, np.array(model.last_weight), 1)
    return tuple(
        float(np.quantile(scaled(outcome) - base - trees.sums(rows), level))
        for level, trees in zip(model.levels, model.quantiles, strict=True)
    )


def _spread_scores(model: PriceModel, sample: _Sample) -> dict[str, Any]:
    rows, base, outcome = _ahead(sample, np.array(model.last_weight), 2)
    return spread_scores(model, rows, base, outcome)


def _later(values: Floats, rows: Rows, steps: int | Rows) -> Floats:
    at = rows + steps
    return np.where(at < len(values), values[np.minimum(at, len(values) - 1)], np.nan)


def _about(sample: _Sample, history: PriceHistory, seed: int) -> dict[str, Any]:
    return {
        "from": _instant(history, int(sample.rows[0])),
        "to": _instant(history, int(sample.rows[-1]) + 1),
        "intervals": len(sample.rows),
        "missing": int(sample.rows[-1] - sample.rows[0] + 1 - len(sample.rows)),
        "library": library(),
        "seed": seed,
    }


def _instant(history: PriceHistory, row: int) -> str:
    return datetime.fromtimestamp(history.start_s + row * history.step_s, UTC).isoformat()
