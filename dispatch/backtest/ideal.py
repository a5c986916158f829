"""Strategies without physics: rigs that start and stop at once and for nothing, and prices that are known at their interval's end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

import numpy as np

from dispatch.backtest.day_ahead_reserve import with_awards
from dispatch.backtest.market_facts import Floats, MarketFacts, without_delay
from dispatch.decide import plan_inputs
from dispatch.decide.state import State
from dispatch.entries import GroupSeen, Seen
from dispatch.sim.simulated_site import instant_of
from dispatch.sim.strategies import RiskOf, part_of
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from markets.facts import Award, Fact
from markets.grid import Interval, OperatingDay
from markets.outlook import PriceBasis
from optimizer.domain.site import Site, SoFar
from optimizer.lp.cohorts import Cohorts
from optimizer.lp.trajectory import Trajectory
from optimizer.planning.plan import plan
from optimizer.planning.result import Plan
from optimizer.settlement.counterfactuals import PUBLISHED_AFTER_S, last_published, perfect_foresight, trajectories
from optimizer.solve import Session


@dataclass(frozen=True, slots=True)
class IdealRun:
    """MWh at the meter and PH/s-days of each group in each interval of the grid, shape (n,)."""

    energy_mwh: Mapping[str, Floats]
    hash_ph_days: Mapping[str, Floats]


def without_physics(site: Site) -> Site:
    """The site with rigs that wake, stop and ramp at once, without wear and as often as one likes."""
    at_once = {"wake_min": 0.0, "min_on_min": 0.0, "min_off_min": 0.0, "wear_usd_per_start": 0.0}
    groups = tuple(g.model_copy(update=at_once) for g in site.groups)
    halls = tuple(h.model_copy(update={"max_starts_per_min": None}) for h in site.halls)
    ramps = {"max_ramp_up_mw_per_min": None, "max_ramp_down_mw_per_min": None}
    return site.model_copy(update={"groups": groups, "halls": halls, **ramps})


def ideal_runs(
    setup: Setup,
    market: MarketFacts,
    risk_of: RiskOf | None = None,
    *,
    delayed: bool = False,
    sold: Mapping[str, tuple[Award, ...]] = MappingProxyType({}),
) -> dict[str, IdealRun]:
    """What every strategy would do, by its name. With `delayed`, prices are known when they were published, not at once: a decision at an
    interval's start then lacks the price of the interval before. `sold` are the day-ahead awards of each strategy."""
    setup = replace(setup, site=without_physics(setup.site))
    facts = market.facts if delayed else without_delay(market.facts)
    facts = with_awards(facts, sold.get("loadstone", ()))
    others = _others(setup, market, PUBLISHED_AFTER_S if delayed else 0, sold.get("perfect_foresight", ()))
    return {"loadstone": _Loadstone(setup, market, facts, risk_of).run(), **others}


class _Loadstone:
    """This product's plans, one at the start of each interval, of which only that interval is followed."""

    def __init__(self, setup: Setup, market: MarketFacts, facts: tuple[Fact, ...], risk_of: RiskOf | None) -> None:
        self.setup, self.market, self.facts, self.risk_of = setup, market, facts, risk_of
        self.known = [fact.known_at for fact in self.facts]
        self.state, self.taken = State.start(setup, setup_from_document), 0
        self.session = Session()
        self.modes = {g.name: {m.name: float(g.rigs) if m == g.full else 0.0 for m in g.modes} for g in setup.site.groups}
        self.read_in: dict[str, dict[str, float]] = {}

    def run(self) -> IdealRun:
        site, grid, celsius = self.setup.site, self.market.grid, self.market.final.temperature_c.values
        energy = {g.name: np.zeros(len(grid)) for g in site.groups}
        hashed = {g.name: np.zeros(len(grid)) for g in site.groups}
        for t, edge in enumerate(grid.edges[:-1].tolist()):
            self._decide(instant_of(edge))
            for group in site.groups:
                rigs = self.modes[group.name]
                overhead = 1.0 + site.hall_of[group.name].overhead.at(float(celsius[t]))
                energy[group.name][t] = sum(rigs[m.name] * m.watts for m in group.modes) / 1e6 * overhead * grid.hours[t]
                hashed[group.name][t] = sum(rigs[m.name] * m.ths for m in group.modes) / 1e3 * grid.hours[t] / 24.0
        return IdealRun(energy, hashed)

    def _decide(self, at: datetime) -> None:
        """Rigs by mode in the interval that begins now; as before while no price is known."""
        until = bisect_right(self.known, at)
        # Read anew only where something changed: every reading is the same until then.
        seen = {name: self._seen(name) for name, modes in self.modes.items() if modes != self.read_in.get(name)}
        self.read_in |= {name: self.modes[name] for name in seen}
        self.state = self.state.after(Seen(at=at, facts=self.facts[self.taken : until], fleet=seen), self.state.seq + 1)
        self.taken = until
        i = plan_inputs.inputs(self.state, at)
        if i.outlook.price_basis is PriceBasis.SAFE_STATE:
            return
        risk = self.risk_of(self.state, i.outlook, at) if self.risk_of else None
        made = plan(i.site, i.book, i.outlook, i.so_far, i.availability, session=self.session, risk=risk)
        for name, group in made.groups.items():
            self.modes[name] = {**dict.fromkeys(self.modes[name], 0.0), **{m: float(n[0]) for m, n in group.modes.items()}}

    def _seen(self, name: str) -> GroupSeen:
        group, rigs = self.setup.site.group(name), self.modes[name]
        mw = sum(rigs[m.name] * m.watts for m in group.modes) / 1e6
        ph = sum(rigs[m.name] * m.ths for m in group.modes) / 1e3
        return GroupSeen(rigs=group.rigs, reachable=group.rigs, load_mw=mw, hashrate_ph=ph)


def _others(setup: Setup, market: MarketFacts, after_s: int, foreseen_awards: tuple[Award, ...]) -> dict[str, IdealRun]:
    """The other strategies, operating day by operating day; perfect foresight with its awards."""
    parts: dict[str, list[IdealRun]] = {}
    before = dict.fromkeys(market.prices, float("nan"))
    for day in days_of(setup, market):
        final = part_of(market.final, day)
        foreseen = perfect_foresight(setup.site, setup.book, final, SoFar(at=day.start, awards=foreseen_awards))
        published = {point: last_published(series, before[point], after_s) for point, series in final.energy.items()}
        before = {point: float(series.values[-1]) for point, series in final.energy.items()}
        for name, path in trajectories(setup.book, foreseen, published).items():
            parts.setdefault(name, []).append(_by_group(foreseen, path))
    return {name: _joined(runs) for name, runs in parts.items()}


def days_of(setup: Setup, market: MarketFacts) -> list[Interval]:
    """The operating days of a part's grid, the first and last cut to it."""
    days, since = [], market.grid.start
    while since < market.grid.end:
        until = min(OperatingDay.of(setup.site.market, since).end, market.grid.end)
        days.append(Interval(since, until))
        since = until
    return days


def _by_group(foreseen: Plan, path: Trajectory) -> IdealRun:
    """A trajectory of the program's cohorts as energy and hashing of the site's groups."""
    cohorts: Cohorts = foreseen.origin.cohorts
    hours = foreseen.origin.program.hours
    shares = [(first, name, share) for first, members in cohorts.members.items() for name, share in members]
    return IdealRun(
        {name: path.group_load_mw[first] * hours * share for first, name, share in shares},
        {name: path.hashrate_ph[first] * hours / 24.0 * share for first, name, share in shares},
    )


def _joined(runs: list[IdealRun]) -> IdealRun:
    return IdealRun(
        {name: np.concatenate([run.energy_mwh[name] for run in runs]) for name in runs[0].energy_mwh},
        {name: np.concatenate([run.hash_ph_days[name] for run in runs]) for name in runs[0].hash_ph_days},
    )
