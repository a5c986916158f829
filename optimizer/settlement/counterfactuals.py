"""Counterfactuals: what other strategies would have earned under the same prices, limits and contracts.

Always on; one strike price for all rigs; one strike price for each model; and the optimal plan with perfect foresight of prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from markets.outlook import Outlook
from markets.series import Series
from optimizer.domain.actuals import Actuals
from optimizer.domain.array_types import Floats
from optimizer.domain.money import ZERO, cents
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import SLEEP, Availability, Mode, RigGroup, Site, SoFar
from optimizer.lp.breakeven import breakevens_usd_per_mwh
from optimizer.lp.program import KILO, Program
from optimizer.lp.trajectory import Trajectory, actuals_of, unpack
from optimizer.planning.merit_walk import Step, follow, load_limits
from optimizer.planning.plan import plan
from optimizer.planning.result import Plan
from optimizer.settlement.settle import carried_usd, settle
from optimizer.solve.lexicographic import SolveError, Solver

# ERCOT and MISO publish a real-time interval about two minutes after it ends (docs/rules.md#ercot-prices).
PUBLISHED_AFTER_S = 120


@dataclass(frozen=True, slots=True)
class StrategyResult:
    """What a strategy earns over a span: dollars to the cent by "OBLIGATION/CHARGE_TYPE", energy at the meters before losses, and the
    number of rigs started."""

    net_usd: Decimal
    lines: Mapping[str, Decimal]
    energy_mwh: float
    hash_ph_days: float
    starts: float


def perfect_foresight(
    site: Site,
    book: Sequence[Obligation],
    final: Outlook,
    so_far: SoFar,
    availability: Availability | None = None,
    *,
    session: Solver | None = None,
) -> Plan:
    """The optimal plan over a span's final prices. Raises SolveError when no solver finds it, because a plan by merit order is not
    optimal."""
    made = plan(site, book, final, so_far, availability, session=session)
    if made.solve.status != "optimal":
        raise SolveError("; ".join(f.text for f in made.findings) or made.solve.status)
    return made


def counterfactuals(book: Sequence[Obligation], foreseen: Plan, published: Mapping[str, Floats]) -> dict[str, StrategyResult]:
    """Every strategy by its name, under the site, limits and final prices of `foreseen` (`perfect_foresight`). `published`, by settlement
    point, is the last price known at each interval's start (`last_published`), usd_per_mwh, NaN where none was, shape (n,)."""
    return {name: value_of(book, foreseen.origin.program, path) for name, path in trajectories(book, foreseen, published).items()}


def trajectories(book: Sequence[Obligation], foreseen: Plan, published: Mapping[str, Floats]) -> dict[str, Trajectory]:
    """What every strategy would do, as in `counterfactuals`."""
    program = foreseen.origin.program
    return {
        "always_on": always_on(book, program),
        "one_strike": one_strike(book, program, published),
        "model_strike": model_strike(book, program, published),
        "perfect_foresight": foreseen.origin.path,
    }


def always_on(book: Sequence[Obligation], program: Program) -> Trajectory:
    """Every rig in normal mode whenever a limit allows."""
    return _followed(book, program, {g.name: np.ones(program.n, dtype=bool) for g in program.site.groups})


def one_strike(book: Sequence[Obligation], program: Program, published: Mapping[str, Floats]) -> Trajectory:
    """All rigs together, on while the last published price is under the fleet's breakeven, weighted by TH/s."""
    groups = program.site.groups
    weights = np.array([g.rigs * _normal(g).ths for g in groups])
    own = breakevens_usd_per_mwh(book, program)
    strike = weights @ np.array([own[g.name] for g in groups]) / weights.sum()
    return _followed(book, program, {g.name: _under(published[program.site.meter_of[g.name].settlement_point], strike) for g in groups})


def model_strike(book: Sequence[Obligation], program: Program, published: Mapping[str, Floats]) -> Trajectory:
    """Each group by itself, on while the last published price is under its own breakeven."""
    point = {name: meter.settlement_point for name, meter in program.site.meter_of.items()}
    return _followed(
        book, program, {name: _under(published[point[name]], usd) for name, usd in breakevens_usd_per_mwh(book, program).items()}
    )


def value_of(book: Sequence[Obligation], program: Program, path: Trajectory) -> StrategyResult:
    """The bill of a trajectory at the program's prices; charges of a period are weighed as in a plan, by lines CHARGE_TYPE_carried."""
    return value_of_actuals(book, actuals_of(program, path), _rigs_started(program, path))


def value_of_actuals(book: Sequence[Obligation], actuals: Actuals, starts: float) -> StrategyResult:
    """The bill of what was done; charges of a period are weighed as in a plan, by lines CHARGE_TYPE_carried."""
    statement = settle(book, actuals)
    carried = {name: cents(usd) for name, usd in carried_usd(book, actuals).items()}
    return StrategyResult(
        net_usd=statement.net_usd + sum(carried.values(), ZERO),
        lines={f"{obligation}/{charge}": usd for (obligation, charge), usd in statement.totals.items()} | carried,
        energy_mwh=float(sum(sum(mwh) for mwh in actuals.energy_mwh.values())),
        hash_ph_days=float(sum(sum(ph) for ph in actuals.hash_ph_days.values())),
        starts=starts,
    )


def last_published(final: Series, before: float = float("nan"), after_s: int = PUBLISHED_AFTER_S) -> Floats:
    """The last price known at each interval's start, shape (n,): that of the newest interval that ended at least `after_s` seconds
    earlier, and `before` until there is one."""
    edges = final.grid.edges
    newest = np.searchsorted(edges[1:] + after_s, edges[:-1], side="right") - 1
    return np.where(newest >= 0, final.values[np.maximum(newest, 0)], before)


def _followed(book: Sequence[Obligation], program: Program, on: Mapping[str, np.ndarray]) -> Trajectory:
    steps = [_step(program, g, on[g.name]) for g in program.site.groups]
    return unpack(program, follow(program, load_limits(program, book), steps))


def _step(program: Program, group: RigGroup, on: np.ndarray) -> Step:
    """All rigs of a group on or off; where a limit lets only some run, the most efficient ones do."""
    normal = _normal(group)
    mw = program.mw_per_kilorig(group, normal) - program.mw_per_kilorig(group, group.asleep)
    return Step(group.name, normal.name, None, mw, np.where(on, normal.ths, -1.0))


def _normal(group: RigGroup) -> Mode:
    return next((m for m in group.awake_modes if m.name == "normal"), group.full)


def _under(price: Floats, strike: Floats) -> np.ndarray:
    """Where a price is under the strike, or not known yet."""
    return np.isnan(price) | (price < strike)


def _rigs_started(program: Program, path: Trajectory) -> float:
    started = 0.0
    for group in program.site.groups:
        now = program.so_far.groups.get(group.name)
        before = sum(n for mode, n in now.modes.items() if mode != SLEEP) if now else 0.0
        awake = program.kilorigs[group.name] * KILO - path.rigs[group.name][SLEEP]
        started += float(np.maximum(0.0, np.diff(awake, prepend=before)).sum())
    return started
