"""The baseline of a what-if: the site and what is known at one instant; and its prices changed by a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from dispatch.what_if.scenario import FleetChange, PriceChange, Scenario, Spikes
from markets.factbook import FactBook
from markets.forecasting.outlook_values import means_on
from markets.grid import Grid, Interval, OperatingDay
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


def prices(outlook: Outlook, changes: Sequence[PriceChange], baseline: Baseline, found: list[DocumentFault], path: str) -> Outlook:
    """The outlook with price changes; faults are added to `found`. `path` leads to the list in its document."""
    energy = dict(outlook.energy)
    for n, change in enumerate(changes):
        here = joined_path(path, n)
        if change.point is not None and change.point not in energy:
            found.append(
                DocumentFault(joined_path(here, "point"), f"no meter settles at {change.point!r}" + did_you_mean(change.point, energy))
            )
            continue
        found += outside(change, outlook.grid, here)
        for point in [change.point] if change.point else list(energy):
            try:
                energy[point] = _changed(energy[point], change, point, baseline)
            except KeyError as error:
                found.append(DocumentFault(joined_path(here, "like" if change.like else "like_from"), str(error.args[0])))
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
    elif change.spikes is not None:
        return price.with_values(_with_spikes(price, change.spikes, share, baseline.setup.site.market.settlement_min * 60))
    elif change.like_from is not None:
        new = _like_span(price.grid, change.like_from, point, baseline)
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


def _with_spikes(price: Series, spikes: Spikes, share: NDArray[np.float64], step_s: int) -> NDArray[np.float64]:
    """Prices with spikes in settlement intervals drawn from those of the span; an interval of the plan that is longer takes their share."""
    edges = price.grid.edges
    steps = np.arange(edges[0] // step_s * step_s, edges[-1], step_s)
    interval = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, len(price.grid) - 1)
    eligible = np.flatnonzero(share[interval] > 0)
    drawn = np.random.default_rng(spikes.seed).choice(eligible, min(spikes.count, len(eligible)), replace=False)
    spiked = np.minimum(np.bincount(interval[drawn], minlength=len(price.grid)) * step_s / np.diff(edges), 1.0)
    return np.where(spiked > 0, spiked * spikes.usd + (1 - spiked) * price.values, price.values)


def _like_span(grid: Grid, began: datetime, point: str, baseline: Baseline) -> NDArray[np.float64]:
    """The prices of a span as long as the grid that began at another instant, $/MWh; an hour that its days miss takes the price before it.
    Raises KeyError when they are not known."""
    market, moved = baseline.setup.site.market, began - grid.start
    then = Grid(grid.edges + round(moved.total_seconds()))
    days, day = list[Series](), OperatingDay.of(market, then.start)
    while day.start < then.end:
        days.append(baseline.prices_on(day.on, point))
        day = OperatingDay(market, day.on + timedelta(days=1))
    edges = np.append(np.concatenate([d.grid.edges[:-1] for d in days]), days[-1].grid.edges[-1])
    known = Series(Grid(edges), np.concatenate([d.values for d in days]), "usd_per_mwh")
    return np.array([np.average(known.values, weights=known.grid.share_within(over) * known.grid.hours) for over in then.intervals])


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
    for key, asked in (("btc_usd", change.btc_usd), ("fees_btc_per_block", change.fees_btc_per_block)):
        if asked is not None and not baseline.facts.economics:
            said = "a BTC price" if key == "btc_usd" else "the fees of a block"
            found.append(DocumentFault(f"hash.{key}", f"the site's hashprice does not depend on {said}: use usd_per_ph_day or scale"))
            return outlook
    if change.btc_usd is not None:
        values = values * (change.btc_usd / baseline.facts.economics[-1].btc_usd)
    if change.fees_btc_per_block is not None:
        now = baseline.facts.economics[-1]
        values = values * (now.subsidy_btc + change.fees_btc_per_block) / (now.subsidy_btc + now.fees_btc_per_block)
    return replace(outlook, hashprice=outlook.hashprice.with_values(values))


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%MZ}"
