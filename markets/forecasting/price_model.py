"""A trained price model of one settlement point: from past prices to a price to decide on, quantiles and the chance of a spike. Pure.

A model is trained in `dispatch.training`. It holds no code and needs no learning library: trees as lists, read from JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook
from markets.facts import PriceForecast
from markets.forecasting.boosted_trees import BoostedTrees
from markets.forecasting.price_features import COLUMNS, PRICES, PriceHistory, features, seen_from_break_even
from markets.grid import Interval, Market

Floats = NDArray[np.float64]
FORMAT = 1
HORIZON = timedelta(hours=4)
# The break-even at which running begins to pay is looked for between these, usd_per_mwh, by halving: to 0.6 %.
LOWEST_USD, HIGHEST_USD, HALVINGS = 5.0, 2000.0, 10
# How much the last price's own answer (run while it is under the break-even) weighs beside the trees, in log-odds.
LAST_PRICE_WEIGHT = 0.5
TOWARDS_DAY_AHEAD = 0.1  # how far the trees' starting point lies from the last price towards the day-ahead price
SCALE_USD = 20.0  # quantiles are learned in arcsinh(price / 20), which holds spikes and negative prices

_LAST, _DAY_AHEAD = COLUMNS.index("real_time_1_back"), COLUMNS.index("day_ahead_+0_h")


@dataclass(frozen=True, slots=True, eq=False)
class ForecastInputs:
    """What a forecast at an instant is made from: the features of the interval after the newest real-time price, shape (columns,), and the
    day-ahead prices of the intervals of `over`, usd_per_mwh, NaN where none is known."""

    at: datetime
    over: Interval
    columns: Floats
    day_ahead: Floats


@dataclass(frozen=True, slots=True, eq=False)
class PriceModel:
    """What training learned of one point.

    step_min      minutes of the intervals it forecasts
    decisions     several sets of trees: log-odds that running pays, for features as seen from a break-even; their mean counts
    last_weight   by interval ahead, how much the price now weighs against the day-ahead price of that interval
    levels, quantiles, widening   by level trees, and what calibration adds, both in arcsinh(price / 20)
    spike         log-odds of a price above `spike_usd_per_mwh`
    about         what it was trained on and how it scored, for people: JSON values
    """

    point: str
    market: Market
    step_min: int
    decisions: tuple[BoostedTrees, ...]
    last_weight: tuple[float, ...]
    levels: tuple[float, ...]
    quantiles: tuple[BoostedTrees, ...]
    widening: tuple[float, ...]
    spike_usd_per_mwh: float
    spike: BoostedTrees
    about: Mapping[str, Any] = field(default_factory=dict)

    def decision_prices(self, columns: Floats) -> Floats:
        """The price to decide on for intervals with these features, usd_per_mwh, shape (n,): the break-even at which the expected gain of
        running is zero. Where that is under $5.00 it is the last price, if that is under $5.00 too."""
        low, high = (np.full(len(columns), edge) for edge in (LOWEST_USD, HIGHEST_USD))
        pays_at_low, pays_at_high = self.running_pays(columns, low) > 0, self.running_pays(columns, high) > 0
        for _ in range(HALVINGS):
            middle = np.sqrt(low * high)
            pays = self.running_pays(columns, middle) > 0
            low, high = np.where(pays, low, middle), np.where(pays, middle, high)
        last = columns[:, _LAST]
        under_all = np.where(np.isnan(last), LOWEST_USD, np.minimum(last, LOWEST_USD))
        over_all = np.where(np.isnan(last), HIGHEST_USD, np.maximum(last, HIGHEST_USD))
        return np.where(pays_at_low, under_all, np.where(pays_at_high, np.sqrt(low * high), over_all))

    def running_pays(self, columns: Floats, break_even: Floats) -> Floats:
        """Above zero where running is expected to gain at a break-even (usd_per_mwh, shape (n,)), log-odds weighed by what is at stake."""
        rows = seen_from_break_even(columns, break_even)
        odds = np.mean([trees.sums(rows) for trees in self.decisions], axis=0) + starting_odds(columns, break_even)
        last = columns[:, _LAST]
        return np.asarray(odds + LAST_PRICE_WEIGHT * np.where(np.isnan(last), 0.0, np.sign(break_even - last)))

    def inputs(self, book: FactBook, at: datetime) -> ForecastInputs | None:
        """What a forecast is made from at an instant. None where the model does not fit what the book has: no price of the point, or of
        intervals of another length."""
        last = book.last_price(self.point)
        step_s = self.step_min * 60
        if last is None or (last.over.end - last.over.start).total_seconds() != step_s:
            return None
        over = Interval(last.over.end, last.over.end + HORIZON)
        history = PriceHistory.before(book, self.point, over.start, step_s, self.market)
        row = (int(over.start.timestamp()) - history.start_s) // step_s
        now = features(history, np.array([row], dtype=np.int64))
        return ForecastInputs(at, over, now[0], history.day_ahead[row : row + len(self.last_weight)])

    def forecasts(self, inputs: Sequence[ForecastInputs]) -> list[PriceForecast]:
        """The forecasts of several instants at once: each is the same as by itself."""
        now, ahead = np.stack([each.columns for each in inputs]), np.stack([each.day_ahead for each in inputs])
        decide = mixed(self.decision_prices(now)[:, None], ahead, np.array(self.last_weight))
        quantiles, spike = self._distribution(now, ahead)
        return [
            PriceForecast(
                source="price model",
                known_at=each.at,
                point=self.point,
                over=each.over,
                usd_per_mwh=_cents(decide[n]),
                levels=self.levels,
                quantiles=tuple(_cents(q[n]) for q in quantiles),
                spike_usd_per_mwh=self.spike_usd_per_mwh,
                spike_probability=tuple(round(float(p), 4) for p in spike[n]),
                model=str(self.about.get("label", "")),
            )
            for n, each in enumerate(inputs)
        ]

    def _distribution(self, now: Floats, ahead: Floats) -> tuple[list[Floats], Floats]:
        """By level the quantiles, and the chance of a spike, of intervals ahead, each of the shape of `ahead`."""
        count, steps = ahead.shape
        rows = distribution_rows(np.repeat(now, steps, axis=0), np.tile(np.arange(steps), count), ahead.reshape(-1))
        base = scaled(mixed(now[:, _LAST, None], ahead, np.array(self.last_weight))).reshape(-1)
        found = [base + trees.sums(rows) + more for trees, more in zip(self.quantiles, self.widening, strict=True)]
        ordered = np.sort(np.stack(found), axis=0)  # quantiles are learned one by one and may cross
        spike = 1.0 / (1.0 + np.exp(-self.spike.sums(rows)))
        return [(SCALE_USD * np.sinh(q)).reshape(ahead.shape) for q in ordered], spike.reshape(ahead.shape)

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(
            {
                "format": FORMAT,
                "columns": list(COLUMNS),
                "point": self.point,
                "market": self.market.value,
                "step_min": self.step_min,
                "decisions": [trees.to_json() for trees in self.decisions],
                "last_weight": list(self.last_weight),
                "levels": list(self.levels),
                "quantiles": [trees.to_json() for trees in self.quantiles],
                "widening": list(self.widening),
                "spike_usd_per_mwh": self.spike_usd_per_mwh,
                "spike": self.spike.to_json(),
                "about": dict(self.about),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> PriceModel:
        """The model of a JSON text. Raises ValueError for one that is cut short, damaged or of another version of the program."""
        try:
            document = json.loads(text)
            if document["format"] != FORMAT or document["columns"] != list(COLUMNS):
                raise ValueError("it was trained by another version of the program")
            made = cls._from(document)
        except (KeyError, TypeError, ValueError) as fault:
            raise ValueError(f"it cannot be read: {fault}") from fault
        steps = int(HORIZON.total_seconds()) // (made.step_min * 60) if made.step_min > 0 else 0
        if not made.decisions or len(made.last_weight) != steps or not len(made.levels) == len(made.quantiles) == len(made.widening):
            raise ValueError("it cannot be read: its parts do not fit each other")
        return made

    @classmethod
    def _from(cls, document: Mapping[str, Any]) -> PriceModel:
        decided, spread = len(COLUMNS), len(COLUMNS) + 2
        return cls(
            point=str(document["point"]),
            market=Market(document["market"]),
            step_min=int(document["step_min"]),
            decisions=tuple(BoostedTrees.from_json(trees, decided) for trees in document["decisions"]),
            last_weight=tuple(float(weight) for weight in document["last_weight"]),
            levels=tuple(float(level) for level in document["levels"]),
            quantiles=tuple(BoostedTrees.from_json(trees, spread) for trees in document["quantiles"]),
            widening=tuple(float(more) for more in document["widening"]),
            spike_usd_per_mwh=float(document["spike_usd_per_mwh"]),
            spike=BoostedTrees.from_json(document["spike"], spread),
            about=dict(document["about"]),
        )


def starting_odds(columns: Floats, break_even: Floats) -> Floats:
    """What the trees start from: the last price, moved a little towards the day-ahead price, against the break-even; even odds where
    neither price is known."""
    last, ahead = columns[:, _LAST], columns[:, _DAY_AHEAD]
    level = np.where(np.isnan(ahead), last, np.where(np.isnan(last), ahead, last + TOWARDS_DAY_AHEAD * (ahead - last)))
    odds = np.tanh((break_even - level) / (0.15 * break_even + 3.0))
    return np.where(np.isnan(level), 0.0, odds)


def mixed(now: float | Floats, ahead: Floats, last_weight: float | Floats) -> Floats:
    """A price now and the day-ahead prices ahead by weight; the one that is known where the other is not."""
    both = last_weight * now + (1.0 - np.asarray(last_weight)) * ahead
    return np.where(np.isnan(ahead), now, np.where(np.isnan(now), ahead, both))


def scaled(usd: Floats) -> Floats:
    """Prices in the scale that quantiles are learned in."""
    return np.asarray(np.arcsinh(usd / SCALE_USD))


def distribution_rows(columns: Floats, steps: NDArray[np.int64], ahead: Floats) -> Floats:
    """What quantiles and spikes are learned from: features now, shape (n, columns), the interval ahead and its day-ahead price."""
    prices = len(PRICES)
    interval = np.stack((steps.astype(np.float64), scaled(ahead)), axis=1)
    return np.concatenate((scaled(columns[:, :prices]), columns[:, prices:], interval), axis=1)


def _cents(usd: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in usd)
