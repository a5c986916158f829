"""A price model applied: the same features from a book as in training, its decision price, its place on the ladder, and damaged files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from markets.factbook import FactBook
from markets.facts import Fact, Price, PriceForecast, PriceMarket
from markets.forecasting.boosted_trees import BoostedTrees
from markets.forecasting.ladder import outlook, plan_grid
from markets.forecasting.price_features import COLUMNS, PriceHistory, features
from markets.forecasting.price_model import PriceModel, starting_odds
from markets.forecasting.recent_score import recent_score
from markets.grid import Interval, Market
from markets.outlook import Basis, Outlook

NOON = datetime(2026, 7, 10, 17, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


def leaf(value: float) -> BoostedTrees:
    none = np.zeros(1)
    return BoostedTrees(
        np.zeros(1, dtype=np.int64), np.full(1, -1), none, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64),
        np.zeros(1, dtype=np.bool_), np.array([value]),
    )  # fmt: skip


def model(decision: float = 0.0, **changes: object) -> PriceModel:
    made = PriceModel(
        point="HB_WEST",
        market=Market.ERCOT,
        step_min=15,
        decisions=(leaf(decision),),
        last_weight=(1.0, 0.5, *[0.0] * 14),
        levels=(0.1, 0.9),
        quantiles=(leaf(-0.5), leaf(0.5)),
        widening=(-0.1, 0.1),
        spike_usd_per_mwh=250.0,
        spike=leaf(-2.0),
        about={"label": "HB_WEST version 1"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def quarter(start: datetime, usd: float) -> Price:
    market = PriceMarket.REAL_TIME_15_MIN
    return Price(
        source="test", known_at=start + QUARTER, point="HB_WEST", market=market, over=Interval(start, start + QUARTER), usd_per_mwh=usd
    )


def book(prices: int = 200, ahead: float = 60.0) -> FactBook:
    """Real-time prices up to noon that differ from one another, and day-ahead prices of the days around."""
    rng = np.random.default_rng(3)
    facts: list[Fact] = [quarter(NOON - k * QUARTER, float(round(30 + 5 * rng.standard_normal(), 2))) for k in range(1, prices + 1)]
    for k in range(-72, 24):
        start = NOON + k * HOUR
        facts.append(
            Price(
                source="test", known_at=NOON - 3 * timedelta(days=1), point="HB_WEST", market=PriceMarket.DAY_AHEAD_HOURLY,
                over=Interval(start, start + HOUR), usd_per_mwh=ahead + k % 5,
            )
        )  # fmt: skip
    return FactBook().after(facts)


def forecast_of(made: PriceModel, facts: FactBook, at: datetime) -> PriceForecast | None:
    """The forecast of one instant; None where the model has no inputs."""
    found = made.inputs(facts, at)
    return None if found is None else made.forecasts([found])[0]


def seen(facts: FactBook, at: datetime) -> Outlook:
    return outlook(facts, at, plan_grid(at, 15, 6), ["HB_WEST"], Market.ERCOT, 45.0)


def test_features_of_a_book_are_those_of_a_history_in_training() -> None:
    known = book(prices=600)
    long = PriceHistory.over(known, "HB_WEST", Interval(NOON - timedelta(days=6), NOON + timedelta(hours=6)), 900, Market.ERCOT)
    in_training = features(long, np.array([6 * 96]))
    short = PriceHistory.before(known, "HB_WEST", NOON, 900, Market.ERCOT)
    in_use = features(short, np.array([2 * 96]))
    assert in_use.shape == (1, len(COLUMNS)) and np.isfinite(in_use).all()
    np.testing.assert_array_equal(in_use, in_training)


def test_no_feature_but_day_ahead_prices_looks_at_the_interval_or_after_it() -> None:
    rng = np.random.default_rng(0)
    real, ahead = rng.uniform(0, 100, 600), rng.uniform(0, 100, 600)
    rows = np.array([300])
    before = features(PriceHistory.of(0, 900, real.copy(), ahead, Market.ERCOT), rows)
    real[300:] = 9000.0
    np.testing.assert_array_equal(features(PriceHistory.of(0, 900, real, ahead, Market.ERCOT), rows), before)


def test_the_decision_price_is_where_running_begins_to_pay() -> None:
    known = book()
    history = PriceHistory.before(known, "HB_WEST", NOON, 900, Market.ERCOT)
    columns = features(history, np.array([2 * 96]))
    price = model().decision_prices(columns)
    assert (model().running_pays(columns, price * 1.02) > 0).all() and (model().running_pays(columns, price * 0.98) <= 0).all()
    assert model(-1.0).decision_prices(columns) > price > model(1.0).decision_prices(columns)


def test_a_forecast_made_from_the_newest_price_decides_and_is_flagged() -> None:
    known, at = book(), NOON + timedelta(minutes=2)
    forecast = forecast_of(model(), known, at)
    assert forecast is not None and forecast.over == Interval(NOON, NOON + 4 * HOUR)
    found = seen(known.after([forecast]), at)
    assert found.basis["HB_WEST"][0] is Basis.FORECAST and found.price("HB_WEST").values[0] == forecast.usd_per_mwh[0]
    assert found.price("HB_WEST").values[1] == forecast.usd_per_mwh[1], "half of it and half of the day-ahead price"
    assert "forecast by the price model HB_WEST version 1" in found.notes[0]
    low, high = found.quantiles["HB_WEST"][0.1].values, found.quantiles["HB_WEST"][0.9].values
    assert low[0] < found.price("HB_WEST").values[0] < high[0]
    assert found.spike_probability["HB_WEST"].values[0] == pytest.approx(0.1192, abs=1e-4)


def test_a_forecast_made_before_the_newest_price_is_not_used() -> None:
    known, at = book(), NOON + timedelta(minutes=2)
    forecast = forecast_of(model(), known, at)
    assert forecast is not None
    newer = known.after([forecast, quarter(NOON, 777.0)])
    found = seen(newer, NOON + QUARTER + timedelta(minutes=2))
    assert found.price("HB_WEST").values[0] == 777.0 and found.basis["HB_WEST"][0] is Basis.HELD
    assert found.quantiles == {} and not any("forecast by" in note for note in found.notes)


def test_a_model_of_other_intervals_makes_no_forecast() -> None:
    assert forecast_of(model(step_min=5, last_weight=(1.0,) * 48), book(), NOON) is None
    assert forecast_of(model(point="HB_NORTH"), book(), NOON) is None


def test_a_forecast_is_of_the_point_and_keeps_without_day_ahead_prices() -> None:
    known = FactBook().after([quarter(NOON - k * QUARTER, 30.0) for k in range(1, 10)])
    forecast = forecast_of(model(), known, NOON)
    assert isinstance(forecast, PriceForecast) and np.isfinite(forecast.usd_per_mwh).all()
    assert len(set(forecast.usd_per_mwh)) == 1, "nothing is known to move towards"


@pytest.mark.parametrize("harm", ["cut", "format", "columns", "child", "length", "parts", "number"])
def test_a_damaged_model_is_refused(harm: str) -> None:
    text = model().to_json()
    document = json.loads(text)
    if harm == "cut":
        text = text[: len(text) // 2]
    else:
        if harm == "format":
            document["format"] = 2
        elif harm == "columns":
            document["columns"] = document["columns"][1:]
        elif harm == "child":
            document["spike"]["feature"] = [0]  # an inner node that leads to itself would never end
        elif harm == "length":
            document["spike"]["value"] = [1.0, 2.0]
        elif harm == "number":
            document["spike"]["value"] = [float("nan")]
        else:
            document["last_weight"] = [1.0]
        text = json.dumps(document)
    with pytest.raises(ValueError, match="cannot be read"):
        PriceModel.from_json(text)


def test_a_model_is_the_same_after_json() -> None:
    again = PriceModel.from_json(model(0.3).to_json())
    known = book()
    assert forecast_of(again, known, NOON) == forecast_of(model(0.3), known, NOON)


def test_a_model_that_keeps_rigs_off_lately_scores_worse_than_the_last_price() -> None:
    known = book(prices=600)
    off = recent_score(model(-5.0), known, (40.0, 60.0, 90.0))
    assert off.worse and off.model_usd_per_mwh > off.last_price_usd_per_mwh
    assert not recent_score(model(-5.0), book(prices=60), (40.0,)).worse, "a day says nothing"


def test_without_any_price_the_odds_are_even() -> None:
    """An unknown price counted as one of $0, at which running pays at every break-even."""
    nothing, dear = np.full((1, len(COLUMNS)), np.nan), np.full((1, len(COLUMNS)), 500.0)
    assert starting_odds(nothing, np.array([60.0])) == [0.0]
    assert starting_odds(dear, np.array([60.0])) < -0.9


def test_forecasts_made_together_are_those_made_one_by_one() -> None:
    made = model(0.2)
    known = book(prices=600)
    inputs = []
    for k in range(12):
        at = NOON - k * QUARTER
        past = FactBook().after([p for key in known.prices for p in known.prices[key] if p.over.end <= at or key[1] != "REAL_TIME_15_MIN"])
        assert (found := made.inputs(past, at)) is not None
        inputs.append(found)
    assert made.forecasts(inputs) == [made.forecasts([each])[0] for each in inputs]
    assert len({each.usd_per_mwh for each in made.forecasts(inputs)}) > 1
