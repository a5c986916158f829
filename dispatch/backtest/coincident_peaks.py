"""How a backtest met the coincident peaks that its contracts charge by: the sums of each part, and the scores of whole months."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from dispatch.backtest.market_facts import MarketFacts
from dispatch.decide.full_load import full_load
from dispatch.sim.strategies import part_of
from dispatch.sim.strategy_run import Plans
from dispatch.site_file.setup import Setup
from markets.grid import OperatingDay
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.planning.plan_json import window_name
from optimizer.settlement.peak_record import PeakInterval, peak_intervals
from optimizer.settlement.peak_score import PeakScore, PeakTally, added, period_of


def peak_tallies(setup: Setup, market: MarketFacts, actuals: Actuals, plans: Plans) -> list[PeakTally]:
    """The sums of a part by contract and month (or season): what the chances in its plans were worth against the peaks that the archive
    tells, and what was not drawn because of them."""
    full = full_load(setup.site, setup.book, part_of(market.final, market.over))
    found: dict[tuple[str, PeakWindow, str], PeakTally] = {}
    for interval in peak_intervals(setup.book, actuals, full, plans):
        period, _ = period_of(setup.site.market, interval.over, interval.window)
        key = (interval.contract, interval.window, period)
        tally = found.setdefault(key, PeakTally(interval.contract, window_name(interval.window), period))
        tally.add(interval, _share(market, actuals, interval), OperatingDay.of(setup.site.market, interval.over.start).on.isoformat())
    return list(found.values())


def _share(market: MarketFacts, actuals: Actuals, interval: PeakInterval) -> float:
    first, last = np.searchsorted(actuals.grid.edges, (interval.over.start.timestamp(), interval.over.end.timestamp()))
    shares: Sequence[Decimal] = market.peak_share[interval.window][first:last]
    return float(sum(shares))


def peak_tallies_of(parts: Sequence[Mapping[str, Any]]) -> list[PeakTally]:
    """The sums of the months (or seasons) that the parts of a backtest touch."""
    return added(PeakTally(**tally) for part in parts for tally in part["peaks"])


def peak_scores(tallies: Iterable[PeakTally]) -> list[PeakScore]:
    """Their scores, in order of contract and time."""
    return sorted((tally.score() for tally in tallies), key=lambda score: (score["contract"], score["period"]))
