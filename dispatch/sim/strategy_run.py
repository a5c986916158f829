"""One strategy run over a span on simulated rigs, with every fact at the instant it became known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from dispatch.entries import Commanded, Planned, PriceBasisChanged
from dispatch.sim.simulated_site import Floats, SimulatedSite, instant_of
from dispatch.sim.strategies import Strategy
from dispatch.site_file.setup import Setup
from markets.facts import Fact
from markets.grid import Grid
from optimizer.domain.memory import Memory
from optimizer.domain.site import Site
from optimizer.planning.plan_json import PlanDocument, planned_interval
from optimizer.settlement.counterfactuals import PUBLISHED_AFTER_S

Plans = list[tuple[datetime, PlanDocument]]


@dataclass(frozen=True, slots=True)
class StrategyRun:
    """What a strategy did: MWh at the rigs and PH/s-days by group, and rigs started, in each interval, shape (n,); the plans it followed,
    each with the instant from which it was in force; its decisions."""

    energy_mwh: Mapping[str, Floats]
    hash_ph_days: Mapping[str, Floats]
    starts: Floats
    plans: Plans
    decisions: Sequence[Commanded]

    def at_meter_mwh(self, site: Site, celsius: Sequence[float]) -> dict[str, Floats]:
        """MWh at the meters by group, overhead included, shape (n,); `celsius` is the outside air of each interval."""
        shares = {name: np.array([site.hall_of[name].overhead.at(c) for c in celsius]) for name in self.energy_mwh}
        return {name: mwh * (1.0 + shares[name]) for name, mwh in self.energy_mwh.items()}


def run_strategy(
    setup: Setup,
    grid: Grid,
    facts: Sequence[Fact],
    strategy: Strategy,
    seed: int = 0,
    modes: Mapping[str, Mapping[str, float]] | None = None,
    memories: Mapping[str, Memory] | None = None,
) -> StrategyRun:
    """Run a strategy from the start of `grid` to its end. `facts` are in order of `known_at`; those known before the start are known at it.
    `modes` are rigs by group and mode at the start (normal mode where it says nothing), `memories` what contracts remember of the time
    before.

    The site is observed at each edge of the grid, two minutes later, when prices are published, and whenever a fact becomes known. At each
    of these the strategy may plan. Between them rigs move that were held back (minimum times, inrush)."""
    run = _Run(setup, grid, facts, strategy, seed)
    run.site.begin(modes or {}, memories or {})
    return run.run()


class _Run:
    def __init__(self, setup: Setup, grid: Grid, facts: Sequence[Fact], strategy: Strategy, seed: int) -> None:
        self.site = SimulatedSite(setup, grid, seed)
        self.grid, self.facts, self.strategy = grid, facts, strategy
        self.tick = timedelta(seconds=setup.site.tick_s)
        self.known = [fact.known_at for fact in facts]
        self.taken = 0
        self.plans: Plans = []
        self.wanted: object = None

    def run(self) -> StrategyRun:
        steps = self._steps()
        for at, until in zip(steps, [*steps[1:], self.grid.end], strict=True):
            self._observe(at)
            while not self.site.settled and (at := at + self.tick) < until:
                self.site.observe(at)
                self.site.act(at)
        self.site.advance(self.grid.end)
        s = self.site
        return StrategyRun(s.energy_mwh, s.hash_ph_days, s.starts, self.plans, s.decisions)

    def _steps(self) -> list[datetime]:
        """The instants at which something may be decided."""
        start, end = self.grid.start, self.grid.end
        edges = [instant_of(edge) for edge in self.grid.edges[:-1].tolist()]
        published = (edge + timedelta(seconds=PUBLISHED_AFTER_S) for edge in edges)
        return sorted({*edges, *published, *(at for at in self.known if start < at < end)})

    def _observe(self, at: datetime) -> None:
        """Take in what became known, plan, and move the rigs where the plan wants something else of them than before."""
        until = bisect_right(self.known, at)
        self.site.observe(at, self.facts[self.taken : until])
        self.taken = until
        document, price_basis = self.strategy.plan(at, self.site.state)
        state = self.site.state
        if price_basis != state.price_basis:
            self.site.record(PriceBasisChanged(at=at, price_basis=price_basis, why=f"prices are {price_basis}"))
        if document is not None:
            self.plans.append((at, document))
            self.site.record(Planned(at=at, as_of=self.site.state.seq, plan=document))
        elif state.plan is not None:
            self.site.record(Planned(at=at, as_of=self.site.state.seq, plan=state.plan))
        self._follow(at)

    def _follow(self, at: datetime) -> None:
        """Move the rigs where the plan in force wants another mix of modes than the last decision had, or some were held back."""
        plan = self.site.state.plan
        interval = planned_interval(plan, at) if plan is not None else None
        wanted = {name: group["modes"] for name, group in interval["groups"].items()} if interval else None
        if wanted != self.wanted or not self.site.settled:
            self.wanted = wanted
            self.site.act(at)
