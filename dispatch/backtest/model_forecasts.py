"""The forecasts that a running site's price models would have made over a part of a backtest, as the facts that its loop records."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from dispatch.backtest.market_facts import MarketFacts
from dispatch.runtime.price_forecasts import PriceForecasts, break_evens_of
from dispatch.sim.simulated_site import instant_of
from dispatch.site_file.setup import Setup
from dispatch.store.price_models import KeptPriceModel
from markets.factbook import KEEP, FactBook
from markets.forecasting.price_model import ForecastInputs, PriceModel


def with_forecasts(setup: Setup, market: MarketFacts, models: Sequence[KeptPriceModel]) -> MarketFacts:
    """The facts of a part with the forecasts of its models among them, each known with the price that it was made from. As in the control
    loop a model is withheld on days on which it did worse than the last price of late."""
    if not models:
        return market
    by_model: dict[int, tuple[PriceModel, list[ForecastInputs]]] = {}
    for model, inputs in _due(setup, market, models):
        by_model.setdefault(id(model), (model, []))[1].append(inputs)
    forecasts = [forecast for model, inputs in by_model.values() for forecast in model.forecasts(inputs)]
    # Forecasts come after the facts of their instant, as in the control loop: sorting keeps the order of equals.
    return replace(market, facts=tuple(sorted((*market.facts, *forecasts), key=lambda fact: fact.known_at)))


def _due(setup: Setup, market: MarketFacts, models: Sequence[KeptPriceModel]) -> list[tuple[PriceModel, ForecastInputs]]:
    """Every forecast that the control loop would make, in order, with its model (calibrated anew each day) and what was known."""
    newest = {model.point: model for model in models}
    forecasts = PriceForecasts(setup.settlement_points, setup.site.market, lambda point, _: newest.get(point), break_evens_of(setup))
    known = [fact.known_at for fact in market.facts]
    edges = (instant_of(edge) for edge in market.grid.edges[:-1].tolist())
    steps = sorted({*edges, *(at for at in known if market.grid.start < at < market.grid.end)})
    book, taken, on = FactBook(), 0, date.min
    found = dict[tuple[str, datetime], tuple[PriceModel, ForecastInputs]]()
    for at in steps:
        until = bisect_right(known, at)
        if until > taken or at.date() != on:
            book = book.after(market.facts[taken:until])
            book = book if on == at.date() else book.prune(at - KEEP)
            taken, on = until, at.date()
            for model, inputs in forecasts.due(book, at):
                found.setdefault((model.point, inputs.over.start), (model, inputs))
    return list(found.values())
