"""Tally: what contracts remember of the month, the day or the year, folded hour by hour from what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from markets.grid import Grid, Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import of_book
from optimizer.domain.money import decimal
from optimizer.domain.net_load import followed
from optimizer.planning.plan_json import planned_generation

if TYPE_CHECKING:
    from dispatch.decide.state import State

HOUR = timedelta(hours=1)
NAN = Decimal("NaN")


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """memory by obligation's name; `at` the last look; of the hour that runs, by settlement interval: seconds that were seen, and by group
    MWh at the rigs and PH/s-days, by contract of a generator MWh made."""

    memory: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    at: datetime | None = None
    seen_s: tuple[float, ...] = ()
    mwh: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ph_days: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    made: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def after(self, state: State, until: datetime) -> Tally:
        """What `state` was seen doing held from its last look to `until`. A silence longer than an hour is not counted."""
        if not any(getattr(o, "remembers_days", 0) for o in state.setup.book):
            return self
        if self.at is None or until - self.at > HOUR or until <= self.at:
            return Tally(self.memory, until)
        tally, here = self, self.at
        while here < until:
            ends = min(until, _hour(here) + HOUR)
            tally = tally._with(state, Interval(here, ends))
            if ends == _hour(here) + HOUR:
                tally = Tally(tally._folded(state, _hour(here)), ends)
            here = ends
        return replace(tally, at=until)

    def _with(self, state: State, over: Interval) -> Tally:
        """One look's load and hashing over a stretch of one hour."""
        grid = _grid(state, _hour(over.start))
        hours = grid.share_within(over) * grid.hours
        nothing = np.zeros(len(grid))

        def more(had: Mapping[str, tuple[float, ...]], name: str, rate: float) -> tuple[float, ...]:
            return tuple(np.asarray(had.get(name, nothing)) + hours * rate)

        return replace(
            self,
            seen_s=tuple((np.asarray(self.seen_s) if self.seen_s else nothing) + hours * 3600.0),
            mwh={g: more(self.mwh, g, now.load_mw) for g, now in state.fleet.items()},
            ph_days={g: more(self.ph_days, g, now.hashrate_ph / 24.0) for g, now in state.fleet.items()},
            made={name: more(self.made, name, mw) for name, mw in _made_mw(state, over.start).items()},
        )

    def _folded(self, state: State, start: datetime) -> Mapping[str, Mapping[str, Any]]:
        """Every memory after the hour that began at `start`; what was not seen whole is a gap."""
        site, grid = state.site, _grid(state, start)
        whole = [s >= h * 3600.0 - 1.0 for s, h in zip(self.seen_s, grid.hours, strict=True)]
        overhead = {g.name: state.overhead(g.name, start) for g in site.groups}
        then = Actuals(
            site=site,
            grid=grid,
            energy_mwh={
                g: [decimal(v * overhead[g]) if ok else NAN for v, ok in zip(mwh, whole, strict=True)] for g, mwh in self.mwh.items()
            },
            hash_ph_days={g: [decimal(v) if ok else NAN for v, ok in zip(ph, whole, strict=True)] for g, ph in self.ph_days.items()},
            energy_price={point: _prices(state, point, grid) for point in state.setup.points},
            hashprice=[NAN] * len(grid),
            calls=state.calls,
            generated_mwh={n: [decimal(v) if ok else NAN for v, ok in zip(mwh, whole, strict=True)] for n, mwh in self.made.items()},
            generators=of_book(state.setup.book, site),
        )
        remembering: list[Any] = [o for o in state.setup.book if getattr(o, "remembers_days", 0)]
        return {**self.memory, **{o.name: o.remember(self.memory.get(o.name, {}), then) for o in remembering}}


def _made_mw(state: State, at: datetime) -> dict[str, float]:
    """What generators make while the load is as last seen: the schedule in force, following the load within the line's limits."""
    planned = planned_generation(state.plan, at)
    loads, found = state.metered_mw() if planned else {}, {}
    for meter in state.site.meters if planned else ():
        left = decimal(sum(mw for name, mw in loads.items() if state.site.meter_of[name].id == meter.id))
        for machine in of_book(state.setup.book, state.site).get(meter.id, ()):
            mw = followed(machine, decimal(planned.get(machine.name, 0.0)), left, meter)
            found[machine.name], left = float(mw), left - mw
    return found


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _grid(state: State, start: datetime) -> Grid:
    return Grid.regular(start, start + HOUR, state.site.market.settlement_min)


def _prices(state: State, point: str, grid: Grid) -> list[Decimal]:
    """The price of each interval; what is not out yet is taken at the last one that is."""
    last = state.facts.last_price(point)
    known = {fact.over.start: fact.usd_per_mwh for fact in state.facts.real_time(point, grid.over)}
    found = [known.get(over.start, last.usd_per_mwh if last else float("nan")) for over in grid.intervals]
    return [decimal(usd) if usd == usd else NAN for usd in found]
