"""How the day's price forecasts turned out against the last price: figures beside the money, never part of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np

from dispatch.decide.break_evens import break_evens_without_peaks, running_mw
from dispatch.settlement.counterfactuals import final_outlook
from dispatch.settlement.document_rows import ForecastScoreRow
from dispatch.settlement.measured_day import MeasuredDay
from markets import counted, usd_text
from markets.forecasting.forecast_score import ExpectedPrice, ForecastScore, Load, forecast_score
from markets.grid import Interval, OperatingDay
from optimizer.domain.array_types import Floats
from optimizer.domain.energy_bid_terms import settles_at


def forecast_scores(measured: MeasuredDay) -> list[ForecastScoreRow]:
    """A row for each settlement point: what was expected of each interval when the price before it became known, against the price that the
    day settles at. Decisions are judged at the break-evens of the site's own groups, by the day's hashprice and contracts, interval by
    interval; intervals without a price or a break-even are left out."""
    final = final_outlook(measured.actuals, measured.temperature_c)
    break_evens = break_evens_without_peaks(measured.setup.site, measured.setup.book, final) or {}
    return [_row(measured, point, break_evens) for point in measured.actuals.energy_price]


def _row(measured: MeasuredDay, point: str, break_evens: Mapping[str, Floats]) -> ForecastScoreRow:
    made = [expected for (at, _), expected in sorted(measured.record.expected_prices.items()) if at == point]
    loads = _loads(measured, point, break_evens)
    outcome = _outcome(measured, point, made, loads)
    of = len(measured.actuals.grid) - len(measured.load.not_run)
    score = forecast_score(made, outcome, loads) if loads else None
    if score is None:
        why = "no forecast of a price model was recorded" if not made else "no interval with a forecast has a price and a break-even"
        return {
            "point": point,
            "intervals": 0,
            "of": of,
            "lost_usd": None,
            "last_price_lost_usd": None,
            "pinball_usd_per_mwh": None,
            "last_price_pinball_usd_per_mwh": None,
            "covered": [],
            "text": f"The price forecast of {point} has no score: {why}.",
        }
    return {
        "point": point,
        "intervals": score.intervals,
        "of": of,
        "lost_usd": f"{score.lost_usd:.2f}",
        "last_price_lost_usd": f"{score.last_price_lost_usd:.2f}",
        "pinball_usd_per_mwh": f"{score.pinball_usd_per_mwh:.2f}",
        "last_price_pinball_usd_per_mwh": f"{score.last_price_pinball_usd_per_mwh:.2f}",
        "covered": [{"level": level, "share": round(share, 4)} for level, share in score.covered.items()],
        "text": _text(point, score, of),
    }


def _loads(measured: MeasuredDay, point: str, break_evens: Mapping[str, Floats]) -> list[Load]:
    """Each group whose energy settles at a point: its break-even by interval, and its full load at the day's mean temperature."""
    site, grid = measured.setup.site, measured.actuals.grid
    on = OperatingDay.of(site.market, grid.start).on
    celsius = float(np.mean(measured.temperature_c))
    found = []
    for name, usd in break_evens.items():
        if settles_at(measured.setup.book, site, name, on) == point:
            by_start = {over.start: float(value) for over, value in zip(grid.intervals, usd, strict=True)}
            found.append(Load(by_start, running_mw(site, name, 1.0 + site.hall_of[name].overhead.at(celsius))))
    return found


def _outcome(measured: MeasuredDay, point: str, made: list[ExpectedPrice], loads: list[Load]) -> dict[Interval, float]:
    """The price of each interval that a forecast was made for: the mean of what settles within it, where all of it and every load's
    break-even are known."""
    grid = measured.actuals.grid
    price = np.array([float(usd) for usd in measured.actuals.energy_price[point]])
    found = {}
    for over in (expected.over for expected in made):
        first, last = np.searchsorted(grid.edges, (over.start.timestamp(), over.end.timestamp()))
        within = first < last < len(grid.edges) and grid.edges[first] == over.start.timestamp() and grid.edges[last] == over.end.timestamp()
        if within and np.isfinite(price[first:last]).all() and all(_known(load, over.start) for load in loads):
            found[over] = float(price[first:last].mean())
    return found


def _known(load: Load, at: datetime) -> bool:
    return not np.isnan(load.break_evens([at])[0])


def _text(point: str, score: ForecastScore, of: int) -> str:
    lost_usd, last_price_lost_usd = usd_text(round(score.lost_usd, 2)), usd_text(round(score.last_price_lost_usd, 2))
    return (
        f"At {point} decisions by the price forecast would have lost {lost_usd} against knowing each price, those by the last price "
        f"{last_price_lost_usd}: every rig at its group's break-even, without wake times, in {score.intervals} of "
        f"{counted(of, 'interval')}. Nothing of it is in the net."
    )
