"""The baseline of a what-if: the site and what is known at one instant; and its prices changed by a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dispatch.decide import plan_inputs
from dispatch.decide.group_state import UNREACHABLE
from dispatch.decide.state import State
from dispatch.signals.documents import DocumentFault, InvalidDocument, joined_path
from dispatch.site_file.errors import did_you_mean
from dispatch.what_if.scenario import FleetChange, PriceChange, Scenario
from markets.factbook import FactBook
from markets.forecasting.outlook_values import means_on
from markets.grid import Grid, Interval
from markets.outlook import Basis, Outlook
from markets.series import Series
from optimizer.domain.site import SoFar

if TYPE_CHECKING:
    from dispatch.site_file.setup import Setup

PricesOn = Callable[[date, str], Series]


def no_reference_day(on: date, point: str) -> Series:
    """The `prices_on` of a baseline without an archive. Raises KeyError."""
    raise KeyError(f"the prices of {on} at {point} are not known: use an archive that holds them")


@dataclass(frozen=True, slots=True)
class Baseline:
    """The site, its obligations and all that is known at `at`.

    rigs         rigs that can be used now, by group; a group that is not named has all of its rigs
    prices_on    the real-time prices of a market day at a settlement point, $/MWh; raises KeyError with a sentence when they are not known
    """

    setup: Setup
    at: datetime
    facts: FactBook
    so_far: SoFar
    rigs: Mapping[str, int]
    prices_on: PricesOn = no_reference_day

    @classmethod
    def of(cls, state: State, at: datetime, prices_on: PricesOn = no_reference_day) -> Baseline:
        """The baseline of the live site at `at`."""
        unreachable = {g.name: int((state.fleet[g.name].seen == UNREACHABLE).sum()) for g in state.site.groups}
        rigs = {g.name: g.rigs - unreachable[g.name] for g in state.site.groups if unreachable[g.name]}
        return cls(state.setup, at, state.facts, plan_inputs.so_far(state, at), rigs, prices_on)

    @property
    def synthetic(self) -> bool:
        return self.setup.prices.source == "synthetic"


def with_past(outlook: Outlook, baseline: Baseline) -> Outlook:
    """The outlook with the published real-time prices in intervals that are over. Raises InvalidDocument where they are not known."""
    past = outlook.grid.edges[1:] <= baseline.at.timestamp()
    if not past.any():
        return outlook
    energy, basis, found = dict(outlook.energy), dict(outlook.basis), []
    for point, series in outlook.energy.items():
        known = means_on(baseline.facts.real_time(point, outlook.grid.over), outlook.grid)
        if gaps := outlook.grid.hours[past & np.isnan(known)].sum():
            found.append(DocumentFault("from", f"{gaps:.4g} h of the real-time prices at {point} before {iso(baseline.at)} are not known"))
        energy[point] = series.with_values(np.where(past & ~np.isnan(known), known, series.values))
        basis[point] = tuple(Basis.PUBLISHED if over else b for over, b in zip(past, outlook.basis[point], strict=True))
    if found:
        raise InvalidDocument(found)
    return replace(outlook, energy=energy, basis=basis)


def within(grid: Grid, since: datetime | None, until: datetime | None) -> NDArray[np.float64]:
    """The share of each interval, 0 to 1, that lies between `since` and `until`."""
    start, end = max(since or grid.start, grid.start), min(until or grid.end, grid.end)
    return grid.share_within(Interval(start, end)) if end > start else np.zeros(len(grid))


def outside(change: PriceChange | FleetChange, grid: Grid, path: str) -> list[DocumentFault]:
    """A fault when the span of a change lies outside the grid."""
    if within(grid, change.since, change.until).any():
        return []
    return [DocumentFault(joined_path(path, "from"), f"the span lies outside {iso(grid.start)} to {iso(grid.end)}")]


def prices(outlook: Outlook, scenario: Scenario, baseline: Baseline, found: list[DocumentFault]) -> Outlook:
    """The outlook with the scenario's price changes; faults are added to `found`."""
    energy = dict(outlook.energy)
    for n, change in enumerate(scenario.prices):
        path = joined_path("prices", n)
        if change.point is not None and change.point not in energy:
            found.append(
                DocumentFault(joined_path(path, "point"), f"no meter settles at {change.point!r}" + did_you_mean(change.point, energy))
            )
            continue
        found += outside(change, outlook.grid, path)
        for point in [change.point] if change.point else list(energy):
            try:
                energy[point] = _changed(energy[point], change, point, baseline)
            except KeyError as error:
                found.append(DocumentFault(joined_path(path, "like"), str(error.args[0])))
                break
    return replace(outlook, energy=energy)


def _changed(price: Series, change: PriceChange, point: str, baseline: Baseline) -> Series:
    share, was = within(price.grid, change.since, change.until), price.values
    if change.scale is not None:
        new = was * change.scale
    elif change.shift_usd is not None:
        new = was + change.shift_usd
    elif change.set_usd is not None:
        new = np.full(len(was), change.set_usd)
    else:
        assert change.like is not None
        new = like_day(baseline.prices_on(change.like, point), price.grid, baseline)
    return price.with_values(np.where(share > 0, share * new + (1 - share) * was, was))


def like_day(day: Series, grid: Grid, baseline: Baseline) -> NDArray[np.float64]:
    """The day's prices at the same times of the market's clock, repeated over the grid, $/MWh; a missing hour takes the price before it."""
    tz = baseline.setup.site.market.tz
    minutes = [(i.start.astimezone(tz), v) for i, v in zip(day.grid.intervals, day.values, strict=True)]
    by_minute = {at.hour * 60 + at.minute: v for at, v in minutes}
    starts = np.array(sorted(by_minute))
    values = np.array([by_minute[int(s)] for s in starts])
    out = np.empty(len(grid))
    for k, over in enumerate(grid.intervals):
        step = min(15, int(over.hours * 60)) or 1
        quarters = [over.start + timedelta(minutes=m) for m in range(0, max(1, int(over.hours * 60)), step)]
        positions = [np.searchsorted(starts, (q := at.astimezone(tz)).hour * 60 + q.minute, side="right") - 1 for at in quarters]
        out[k] = values[positions].mean()
    return out


def hashprices(outlook: Outlook, scenario: Scenario, baseline: Baseline, found: list[DocumentFault]) -> Outlook:
    """The outlook with the scenario's hashprice; faults are added to `found`."""
    change = scenario.hash
    if change is None:
        return outlook
    values = outlook.hashprice.values
    if change.usd_per_ph_day is not None:
        values = np.full(len(values), change.usd_per_ph_day)
    if change.scale is not None:
        values = values * change.scale
    if change.difficulty_scale is not None:
        values = values / change.difficulty_scale
    if change.btc_usd is not None:
        if baseline.facts.economics:
            values = values * (change.btc_usd / baseline.facts.economics[-1].btc_usd)
        else:
            found.append(
                DocumentFault(
                    "hash.btc_usd",
                    "the site's hashprice does not depend on a BTC price: use usd_per_ph_day or scale",
                )
            )
    return replace(outlook, hashprice=outlook.hashprice.with_values(values))


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
