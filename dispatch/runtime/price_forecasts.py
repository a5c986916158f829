"""Forecasts of the site's price models, made when a new price is known and recorded as facts; withheld while a model does worse than the
last price."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import Engine

from dispatch.decide.break_evens import break_evens_at
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.price_models import KeptPriceModel, newest_accepted
from markets import usd_text
from markets.factbook import FactBook
from markets.facts import Fact
from markets.forecasting.ladder import stale_after
from markets.forecasting.price_model import ForecastInputs, PriceModel
from markets.forecasting.recent_calibration import recalibrated
from markets.forecasting.recent_score import RecentScore, recent_score
from markets.grid import Market

USUAL_BREAK_EVENS = (40.0, 60.0, 90.0)  # usd_per_mwh, of rigs of three ages: where the site's own are not known

NewestModel = Callable[[str, str], KeptPriceModel | None]
BreakEvens = Callable[[FactBook, datetime, str], Sequence[float]]


def break_evens_of(setup: Setup) -> BreakEvens:
    """The break-evens of a site's own groups at a settlement point, usd_per_mwh, each once; usual ones where they are not known."""

    def at_point(book: FactBook, at: datetime, point: str) -> Sequence[float]:
        found, meter_of = break_evens_at(setup, book, at) or {}, setup.site.meter_of
        own = {round(usd, 2) for name, usd in found.items() if meter_of[name].settlement_point == point and 0.0 < usd < math.inf}
        return tuple(sorted(own)) or USUAL_BREAK_EVENS

    return at_point


def newest_models(engine: Engine) -> NewestModel:
    """The newest accepted model of a point in a market, from a ledger."""
    return lambda point, market: newest_accepted(engine, point, market)


class PriceForecasts:
    """Makes the forecasts of some points. Once a UTC day a model is looked up, compared with the last price by the regret of decisions at
    `break_evens`, and its quantiles are calibrated on the last days. A ledger that cannot be read is asked again at the next call.

    alerts  by point, why its model is not used
    """

    def __init__(
        self,
        points: Sequence[str],
        market: Market,
        newest: NewestModel,
        break_evens: BreakEvens = lambda book, at, point: USUAL_BREAK_EVENS,
    ) -> None:
        self._points, self._market, self._newest, self._break_evens = tuple(points), market, newest, break_evens
        self._models: dict[str, PriceModel] = {}
        self._read: dict[str, tuple[KeptPriceModel, PriceModel]] = {}
        self._checked: dict[str, date] = {}
        self.alerts: dict[str, str] = {}

    def after(self, book: FactBook, at: datetime) -> list[Fact]:
        """The forecasts that the facts of a book allow and that it does not have yet."""
        return [model.forecasts([inputs])[0] for model, inputs in self.due(book, at)]

    def due(self, book: FactBook, at: datetime) -> list[tuple[PriceModel, ForecastInputs]]:
        """The same forecasts not yet made: each with its model and what it is made from."""
        for point in self._points:
            if self._checked.get(point) != at.date():
                self._look_up(point, book, at)
        found = []
        for point in self._points:
            if (model := self._models.get(point)) is None:
                continue
            last, made = book.last_price(point), book.forecasts.get(point, ())
            if last is None or at - last.over.end > stale_after(self._market, last):
                continue
            if made and made[-1].over.start == last.over.end and made[-1].model == model.about.get("label"):
                continue
            if (inputs := model.inputs(book, at)) is not None:
                found.append((model, inputs))
        return found

    def _look_up(self, point: str, book: FactBook, at: datetime) -> None:
        self._models.pop(point, None)
        self.alerts.pop(point, None)
        try:
            kept = self._newest(point, self._market.value)
        except LedgerUnavailable as fault:  # says nothing of the model: it is asked again at the next call, not the next day
            self.alerts[point] = _not_used(point, fault)
            return
        self._checked[point] = at.date()
        if kept is None:
            return
        try:
            model = self._read_model(kept)
            if (model.point, model.market) != (point, self._market):
                raise ValueError(f"it was trained on {model.point} in {model.market.value}")
        except ValueError as fault:
            self.alerts[point] = _not_used(point, fault)
            return
        score = recent_score(model, book, self._break_evens(book, at, point))
        if score.worse:
            self.alerts[point] = _withheld(point, kept.version, score)
            return
        self._models[point] = recalibrated(model, book)

    def _read_model(self, kept: KeptPriceModel) -> PriceModel:
        """The model of a version, read once. Raises ValueError for a text that is damaged."""
        read, model = self._read.get(kept.point, (None, None))
        if model is None or read != kept:
            model = PriceModel.from_json(kept.text)
            self._read[kept.point] = kept, model
        return model


def _not_used(point: str, fault: Exception) -> str:
    return f"The price model of {point} is not used and the last price is: {fault}."


def _withheld(point: str, version: int, score: RecentScore) -> str:
    return (
        f"Version {version} of the price model of {point} is not used and the last price is: over the last {score.hours:.0f} h its "
        f"decisions lost {usd_text(score.model_usd_per_mwh)}/MWh against perfect foresight, those of the last price "
        f"{usd_text(score.last_price_usd_per_mwh)}/MWh."
    )
