"""At which energy price each group of a site earns as much asleep: by its contracts, from what is known of the hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from dispatch.site_file.setup import Setup
from markets.factbook import FactBook
from markets.forecasting.ladder import outlook
from markets.grid import Grid
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.site import Availability, SoFar
from optimizer.lp.breakeven import breakevens_usd_per_mwh
from optimizer.lp.build import build_program
from optimizer.lp.cohorts import gather


def break_evens_at(setup: Setup, facts: FactBook, at: datetime) -> dict[str, float] | None:
    """By group, usd_per_mwh, in the hour of an instant, fees, overhead, losses and adders included; None while no hashprice is known, and
    where a contract's stop prices raise. A contract that cannot be added to a program is left out, as in plans."""
    site, book, hour = setup.site, setup.book, at.replace(minute=0, second=0, microsecond=0)
    grid = Grid.regular(hour, hour + timedelta(hours=1), 60)
    seen = outlook(facts, at, grid, list(setup.settlement_points), site.market)
    if np.isnan(seen.hashprice.values).any():
        return None
    free = {point: series.with_values(np.zeros(len(grid))) for point, series in seen.energy.items()}
    cohorts = gather(site, book, SoFar(seen.at), Availability(), seen.temperature_c.values)
    failures = PluginFailures()
    program = build_program(cohorts, book, replace(seen, energy=free), failures)  # no break-even depends on the price
    try:
        own = breakevens_usd_per_mwh(program.book, program)
    except Exception:  # a plug-in may raise anything
        return None
    return {name: float(own[first][0]) for first, members in cohorts.members.items() for name, _ in members}
