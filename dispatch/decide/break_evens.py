"""At which energy price each group of a site earns as much asleep: by its contracts, from what is known of the hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from dispatch.site_file.setup import Setup
from markets.factbook import FactBook
from markets.forecasting.ladder import outlook
from markets.grid import Grid
from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Book
from optimizer.domain.site import Availability, Site, SoFar
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
    found = break_evens_over(site, book, seen)
    return None if found is None else {name: float(usd[0]) for name, usd in found.items()}


def break_evens_over(site: Site, book: Book, seen: Outlook) -> dict[str, Floats] | None:
    """By group, usd_per_mwh in each interval of an outlook, shape (n,); None where a contract's stop prices raise."""
    free = {point: series.with_values(np.zeros(len(seen.grid))) for point, series in seen.energy.items()}
    cohorts = gather(site, book, SoFar(seen.at), Availability(), seen.temperature_c.values)
    program = build_program(cohorts, book, replace(seen, energy=free), PluginFailures())  # no break-even depends on the price
    try:
        own = breakevens_usd_per_mwh(program.book, program)
    except Exception:  # a plug-in may raise anything
        return None
    return {name: own[first] for first, members in cohorts.members.items() for name, _ in members}


def break_evens_without_peaks(site: Site, book: Book, seen: Outlook) -> dict[str, Floats] | None:
    """The same as far as a hashprice is known, NaN elsewhere, and without what a coincident peak may cost."""
    unknown = np.isnan(seen.hashprice.values)
    known = replace(seen, peak_share={}, hashprice=seen.hashprice.with_values(np.where(unknown, 0.0, seen.hashprice.values)))
    found = break_evens_over(site, book, known)
    return None if found is None else {name: np.where(unknown, np.nan, usd) for name, usd in found.items()}


def running_mw(site: Site, name: str, overhead: float) -> float:
    """MW that settle while every rig of a group runs, beyond those while all sleep; `overhead` is what its hall draws for each MW of rigs,
    the rigs' own MW included."""
    group = site.group(name)
    return group.rigs * (group.full.watts - group.asleep.watts) / 1e6 * overhead * site.meter_of[name].loss_factor
