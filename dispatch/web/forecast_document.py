"""The price forecast against what followed, and its score so far, as the API and the page show them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dispatch.decide.break_evens import running_mw
from dispatch.decide.state import State
from dispatch.web.documents import iso
from dispatch.web.live_view import LiveView, point_of
from markets.forecasting.forecast_score import ExpectedPrice, ForecastScore, Load, expected_prices, forecast_score
from markets.grid import Interval, Market, OperatingDay, interval_label
from optimizer.domain.energy_bid_terms import settles_at

SCORED = timedelta(days=7)


def forecast_document(view: LiveView, now: datetime, shown_from: datetime | None = None) -> dict[str, Any]:
    """What was expected of each interval since `shown_from` (a day ago when None) beside its price, the newest forecast, and the score of
    the last seven days; `score` is null where no price followed a forecast yet."""
    state, point = view.state, point_of(view.state)
    market = state.site.market
    since = shown_from or now - timedelta(days=1)
    prices = state.facts.real_time(point, Interval(now - SCORED, now))
    outcome = {price.over: price.usd_per_mwh for price in prices}
    made = [expected for expected in view.expected_prices if expected.over.end > now - SCORED]
    past = [_interval(step, market) | {"price_usd_per_mwh": outcome.get(step.over)} for step in made if step.over.end > since]
    score = forecast_score(made, outcome, loads(state, point, now))
    newest = state.facts.forecasts.get(point, ())
    ahead = newest[-1] if newest and newest[-1].over.end > now else None
    return {
        "point": point,
        "model": ahead.model if ahead else None,
        "past": past,
        "ahead": [_interval(step, market) for step in expected_prices(ahead, ahead.usd_per_mwh[0])] if ahead else [],
        "score": _score(score) if score else None,
    }


def _score(score: ForecastScore) -> dict[str, Any]:
    return {
        "days": SCORED.days,
        "intervals": score.intervals,
        "lost_usd": round(score.lost_usd, 2),
        "last_price_lost_usd": round(score.last_price_lost_usd, 2),
        "pinball_usd_per_mwh": round(score.pinball_usd_per_mwh, 2),
        "last_price_pinball_usd_per_mwh": round(score.last_price_pinball_usd_per_mwh, 2),
        "covered": [{"level": level, "share": round(share, 4)} for level, share in score.covered.items()],
    }


def loads(state: State, point: str, now: datetime) -> list[Load]:
    """Each rig group with a break-even whose energy settles at a settlement point, at its full load."""
    site, known = state.site, state.plan["breakevens"] if state.plan else {}
    on = OperatingDay.of(site.market, now).on
    own = {g.name: known.get(g.name) for g in site.groups if settles_at(state.setup.book, site, g.name, on) == point}
    return [Load(float(usd), running_mw(site, name, state.overhead(name, now))) for name, usd in own.items() if usd is not None]


def _interval(expected: ExpectedPrice, market: Market) -> dict[str, Any]:
    over = expected.over
    quantiles = [{"level": level, "usd_per_mwh": usd} for level, usd in zip(expected.levels, expected.quantiles, strict=True)]
    named = {"start": iso(over.start), "end": iso(over.end), "label": interval_label(market, over)}
    return {**named, "usd_per_mwh": expected.usd_per_mwh, "quantiles": quantiles}
