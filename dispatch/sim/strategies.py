"""The strategies that are compared on one simulated fleet: each makes plans, and the control loop's own decisions carry them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from dispatch.decide import plan_inputs
from dispatch.decide.break_evens import break_evens_at
from dispatch.decide.state import State
from markets.facts import Price
from markets.grid import Grid, Interval, OperatingDay
from markets.outlook import Outlook, PriceBasis
from markets.series import Series
from optimizer.domain.energy_bid_terms import settles_at
from optimizer.domain.site import SLEEP, RigGroup
from optimizer.planning.plan import plan
from optimizer.planning.plan_json import GroupDocument, PlanDocument, first_intervals
from optimizer.planning.result import Risk
from optimizer.solve import Session

RUN_FOR = timedelta(days=400)  # a plan without an end of its own
DECIDED_AHEAD = 10  # intervals of a plan that are kept: it is replaced after one
FORESEEN_AFTER_DAY = timedelta(hours=12)  # how far a plan with perfect foresight looks beyond the operating day it is made for

RiskOf = Callable[[State, Outlook, datetime], Risk | None]
Breakevens = dict[tuple[datetime, float | None], Mapping[str, float]]  # by hour and hashprice (usd_per_ph_day), of each group, usd_per_mwh


class Strategy(Protocol):
    """Something that decides what rigs should do."""

    name: str

    def plan(self, at: datetime, state: State) -> tuple[PlanDocument | None, str]:
        """A new plan, None where the one in force still holds; and the price basis it stands on (`PriceBasis`)."""
        ...


class Loadstone:
    """This product: the plan that the control loop would make of the same state. `risk_of` gives the weight of price scenarios."""

    name = "loadstone"

    def __init__(self, risk_of: RiskOf | None = None) -> None:
        self._session, self._risk_of = Session(), risk_of

    def plan(self, at: datetime, state: State) -> tuple[PlanDocument | None, str]:
        """A plan from everything known by now; none while no price is known."""
        made_from = plan_inputs.inputs(state, at)
        basis = made_from.outlook.price_basis
        if basis is PriceBasis.SAFE_STATE:
            return None, basis.value
        i, risk = made_from, self._risk_of(state, made_from.outlook, at) if self._risk_of else None
        made = plan(i.site, i.book, i.outlook, i.so_far, i.availability, session=self._session, risk=risk)
        return first_intervals(made, DECIDED_AHEAD), basis.value


class AlwaysOn:
    """Every rig in normal mode whenever a limit allows."""

    name = "always_on"

    def __init__(self) -> None:
        self._planned = False

    def plan(self, at: datetime, state: State) -> tuple[PlanDocument | None, str]:
        """All rigs on, once."""
        first, self._planned = not self._planned, True
        return (_switched(at, state, dict.fromkeys(state.fleet, True)) if first else None), PriceBasis.REAL_TIME.value


class Strike:
    """Rigs on while the last published price is under their breakeven: all together by the fleet's, weighted by TH/s ("one_strike"), or
    each group by its own ("model_strike"). Two that run over the same facts may share the breakevens they have worked out."""

    def __init__(self, name: str, breakevens: Breakevens | None = None) -> None:
        self.name, self._on = name, dict[str, bool]()
        self._breakevens = {} if breakevens is None else breakevens

    def plan(self, at: datetime, state: State) -> tuple[PlanDocument | None, str]:
        """Rigs on or off by the newest real-time price; a new plan only where that changes."""
        strikes = self._strikes(at, state)
        book, site, today = state.setup.book, state.site, OperatingDay.of(state.site.market, at).on
        newest = {name: state.facts.last_price(settles_at(book, site, name, today)) for name in state.fleet}
        on = {name: strikes is None or _runs(price, strikes[name]) for name, price in newest.items()}
        if on == self._on:
            return None, PriceBasis.REAL_TIME.value
        self._on = on
        return _switched(at, state, on), PriceBasis.REAL_TIME.value

    def _strikes(self, at: datetime, state: State) -> Mapping[str, float] | None:
        """The strike of each group in this hour, usd_per_mwh; None while no price or hashprice is known."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        known = state.facts.hashprice(at)
        key = (hour, known.usd_per_ph_day if known else None)
        own = self._breakevens.get(key) or break_evens_at(state.setup, state.facts, at)
        if own is None:
            return None
        self._breakevens[key] = own
        return own if self.name == "model_strike" else _together(state.site.groups, own)


class PerfectForesight:
    """This product's own program, given the final prices: a new plan at the start and at each of `at`, up to half a day beyond the next."""

    name = "perfect_foresight"

    def __init__(self, final: Outlook, starts: Sequence[datetime]) -> None:
        self._final, self._starts = final, list(starts)
        self._session = Session()

    def plan(self, at: datetime, state: State) -> tuple[PlanDocument | None, str]:
        """A plan over final prices at the start of each operating day; none in between."""
        if not self._starts or at < self._starts[0]:
            return None, PriceBasis.REAL_TIME.value
        while self._starts and self._starts[0] <= at:
            self._starts.pop(0)
        end = min(self._final.grid.end, (self._starts[0] if self._starts else self._final.grid.end) + FORESEEN_AFTER_DAY)
        ahead = part_of(self._final, Interval(at, end))
        made_from = plan_inputs.so_far(state, at), plan_inputs.availability(state, ahead.grid)
        made = plan(state.site, state.setup.book, ahead, *made_from, session=self._session)
        return first_intervals(made, len(ahead.grid)), PriceBasis.REAL_TIME.value


def part_of(final: Outlook, over: Interval) -> Outlook:
    """An outlook on the part of its grid that lies in `over`, seen from its start. `over` begins and ends at edges of the grid."""
    edges = final.grid.edges
    first, last = np.searchsorted(edges, (over.start.timestamp(), over.end.timestamp()))
    grid = Grid(edges[first : last + 1])

    def cut(series: Series) -> Series:
        return Series(grid, series.values[first:last], series.unit)

    return replace(
        final,
        at=over.start,
        grid=grid,
        energy={point: cut(series) for point, series in final.energy.items()},
        basis={point: basis[first:last] for point, basis in final.basis.items()},
        hashprice=cut(final.hashprice),
        temperature_c=cut(final.temperature_c),
        reserve={product: cut(series) for product, series in final.reserve.items()},
        available_mw={plant: cut(series) for plant, series in final.available_mw.items()},
        peak_share={window: cut(series) for window, series in final.peak_share.items()},
        system_load_mw=cut(final.system_load_mw) if final.system_load_mw is not None else None,
    )


def _runs(price: Price | None, strike: float) -> bool:
    return price is None or price.usd_per_mwh < strike


def _together(groups: Sequence[RigGroup], own: Mapping[str, float]) -> Mapping[str, float]:
    """The breakeven of the whole fleet, weighted by TH/s, for every group."""
    weights = np.array([g.rigs * _normal_mode(g)[1] for g in groups])
    strike = float(weights @ np.array([own[g.name] for g in groups]) / weights.sum())
    return {g.name: strike for g in groups}


def _normal_mode(group: RigGroup) -> tuple[str, float]:
    mode = next((m for m in group.awake_modes if m.name == "normal"), group.full)
    return mode.name, mode.ths


def _all_rigs(state: State, group: RigGroup, on: bool, at: datetime) -> GroupDocument:
    """Every rig of a group in normal mode or asleep; in normal mode where the owner allows no sleep."""
    normal, modes = _normal_mode(group)[0], {m.name: 0.0 for m in group.modes}
    mode = group.mode(normal if on or SLEEP not in modes else SLEEP)
    modes[mode.name] = float(group.rigs)
    mw = group.rigs * mode.watts / 1e6 * state.overhead(group.name, at)
    return {"load_mw": mw, "hashrate_ph": group.rigs * mode.ths / 1e3, "modes": modes}


def _switched(at: datetime, state: State, on: Mapping[str, bool]) -> PlanDocument:
    """A plan with every rig of a group in normal mode or asleep."""
    groups = {g.name: _all_rigs(state, g, on[g.name], at) for g in state.site.groups}
    document: PlanDocument = {
        "at": at.isoformat(),
        "objective_usd": 0.0,
        "intervals": [
            {
                "start": at.isoformat(),
                "end": (at + RUN_FOR).isoformat(),
                "load_mw": sum(g["load_mw"] for g in groups.values()),
                "groups": groups,
                "offers": {},
                "price_usd_per_mwh": {},
                "hashprice_usd_per_ph_day": 0.0,
            }
        ],
        "lines": {},
        "shadow_prices": {},
        "shortfalls": [],
        "reasons": [],
        "breakevens": {},
        "findings": [],
        "solve": {"rows": 0, "cols": 0, "build_s": 0.0, "solve_s": 0.0, "status": "", "optimality_gap": None},
    }
    return document
