"""Offers of reserve by hour, priced by the plan's own program.

    price of a step  =  what real time is expected to pay for the megawatt  +  what carrying it costs beyond that

The first part is what a day-ahead award costs when it is bought back; the sum is what it costs when it is carried. It is taken at the upper
end of each step, with every hour and product accepted up to the same share and with the hour accepted alone, whichever is dearer. It is
raised where another mix costs more (offer_mixes.py), so that an award of any part of the offers is paid at least what it costs. Over
scenarios the price is (1 - weight) x the mean + weight x the mean of the dearest 5 %: the conditional value at risk of the award.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from markets.outlook import Outlook
from optimizer.domain.array_types import Floats
from optimizer.domain.reserve_awards import DAY_AHEAD, priced_as
from optimizer.lp.build import build_program
from optimizer.lp.cohorts import Cohorts
from optimizer.lp.fill_gaps import fill_gaps
from optimizer.planning.offer_mixes import paid_whatever_is_accepted
from optimizer.planning.offer_rows import JUST_BELOW, OUTWEIGHS_USD, Curve, Key, OfferCase, OfferRows
from optimizer.solve.cvar import TAIL
from optimizer.solve.integer_rounding import with_fixed_integers
from optimizer.solve.lexicographic import ANSWERED, NO_LIMIT_S, Solver

STEP_MW = 0.1  # offers are rounded down to it
MAX_STEPS = 5


def reserve_offers(case: OfferCase, solver: Solver) -> tuple[Curve, ...]:
    """A curve for each reserve product that the book sells. The steps of all products of one interval can be carried together. Raises
    SolveError."""
    cohorts = case.cohorts
    base = _reserve_rows(case, cohorts, case.outlook)
    if not base.of:
        return ()
    plain = solver.run(base.arrays, NO_LIMIT_S)
    most = _most_mw(case, base, solver)
    nothing = {key: np.zeros(base.program.n) for key in base.of}
    if plain.status not in ANSWERED or not any(mw.any() for mw in most.values()):
        return tuple(Curve(*key, np.zeros((1, base.program.n)), np.zeros((1, base.program.n))) for key in base.of)
    fixed = replace(base, arrays=with_fixed_integers(base.arrays, plain.x))
    linear = not base.arrays.integer.any() or solver.run(fixed.at_least(most), NO_LIMIT_S).status in ANSWERED
    shares = case.shares(MAX_STEPS) if linear else (1.0,)
    steps = {key: np.array([_rounded_down(mw * share) for share in shares]) for key, mw in most.items()}
    if linear:
        usd = _at_duals(case, cohorts, fixed, steps, plain.x, solver)
    else:
        usd = {key: _alone_by_difference(base, nothing, most, key, plain.objective, solver)[None] for key in most}
    usd = paid_whatever_is_accepted(
        fixed if linear else base, steps, usd, {key: real_time_usd(base, key) for key in steps}, plain.objective, solver
    )
    return tuple(Curve(*key, steps[key], usd[key]) for key in base.of)


def _reserve_rows(case: OfferCase, cohorts: Cohorts, outlook: Outlook) -> OfferRows:
    """The program with a row for each product, and the limits of what was proved. Where reserve earns in the day-ahead market alone, that
    is what is being offered, and it earns nothing here."""
    outlook = fill_gaps(outlook)[0]
    program = build_program(cohorts, case.book, outlook)
    if ahead := {priced_as(product) for (_, product), where in program.sold_ahead.items() if (where & case.inside).any()}:
        left = {product: series for product, series in outlook.reserve.items() if product not in ahead}
        program = build_program(cohorts, case.book, replace(outlook, reserve=left))
    of = {(o.name, p): program.offers[(o.name, p)] for o in case.book for p in o.reserve_products() if (o.name, p) in program.offers}
    before = {key: program.awarded(*key, DAY_AHEAD)[0] for key in of}
    for key, mw in case.proved_mw.items():
        if key in of:
            program.row(f"proved {' '.join(key)}", of[key], upper=np.maximum(mw, before[key]), where=case.inside)
    for name, mw in case.together_mw.items():
        if parts := [key for key in of if key[0] == name and not _raises_load(key[1])]:
            promised = sum((before[key] for key in parts), np.zeros(program.n))
            total = program.sum([of[key] for key in parts])
            program.row(f"proved {name}", total, upper=np.maximum(mw, promised), where=case.inside)
    return OfferRows.of_program(program, of, case.inside, before)


def _raises_load(product: str) -> bool:
    return product == "REGDN"


def real_time_usd(rows: OfferRows, key: Key) -> Floats:
    """What the contract's own lines pay in real time for one MW of reserve more, usd_per_mw_h, shape (n,)."""
    column, usd = rows.of[key].cols[0], np.zeros(rows.program.n)
    for earned in rows.program.earned:
        if earned.obligation == key[0]:
            for cols, coefs in earned.usd.terms:
                usd += np.where(cols == column, coefs, 0.0)
    return np.asarray(usd / rows.program.hours)


def _most_mw(case: OfferCase, rows: OfferRows, solver: Solver) -> dict[Key, Floats]:
    """The most of each product that can be carried beside all others, MW: the better paid product first."""
    wanted = {key: np.where(case.inside, OUTWEIGHS_USD + real_time_usd(rows, key), 0.0) for key in rows.of}
    solution = solver.run(rows.weighed(wanted), NO_LIMIT_S)
    if solution.status not in ANSWERED:
        return {key: np.zeros(rows.program.n) for key in rows.of}
    carried = {key: expr.at(solution.x) - rows.before_mw[key] for key, expr in rows.of.items()}
    return {key: np.where(case.inside, _rounded_down(mw), 0.0) for key, mw in carried.items()}


def _rounded_down(mw: Floats) -> Floats:
    return np.maximum(0.0, np.round(np.floor(mw / STEP_MW + 1e-6) * STEP_MW, 6))


def _below_ends(steps: Floats) -> Floats:
    """MW just below the end of each step, shape (steps, n); a step of nothing is at its own end."""
    before = np.vstack([np.zeros(steps.shape[1]), steps[:-1]])
    return np.asarray(steps - JUST_BELOW * (steps - before))


def _at_duals(
    case: OfferCase, cohorts: Cohorts, base: OfferRows, steps: Mapping[Key, Floats], x: Floats, solver: Solver
) -> dict[Key, Floats]:
    """Prices of the steps, shape (steps, n): all intervals accepted to the same share, over the scenarios; and each interval alone."""
    ends = {key: _below_ends(mw) for key, mw in steps.items()}
    together = [_step_costs(base, ends, solver)]
    for outlook in case.risk.scenarios if case.risk else ():
        rows = _reserve_rows(case, cohorts, outlook)
        together.append(_step_costs(replace(rows, arrays=with_fixed_integers(rows.arrays, x)), ends, solver))
    weight = case.risk.weight if case.risk else 0.0
    alone = {key: np.zeros(mw.shape) for key, mw in steps.items()}
    for t in np.flatnonzero(case.inside):
        only = np.arange(base.program.n) == t
        for key, usd in _step_costs(base, {key: mw * only for key, mw in ends.items()}, solver).items():
            alone[key][:, t] = usd[:, t]
    over = together[1:] or together
    return {key: np.maximum(risk_price(np.array([usd[key] for usd in over]), weight), alone[key]) for key in steps}


def _step_costs(rows: OfferRows, ends: Mapping[Key, Floats], solver: Solver) -> dict[Key, Floats]:
    """What the last MW of each step costs, usd_per_mw_h, shape (steps, n): bought back, and carried beyond that."""
    costs: dict[Key, list[Floats]] = {key: [] for key in ends}
    steps = len(next(iter(ends.values())))
    for k in range(steps):
        solution = solver.run(rows.at_least({key: mw[k] for key, mw in ends.items()}), NO_LIMIT_S)
        if solution.status not in ANSWERED:  # a scenario in which it cannot be carried: no price is enough
            return {key: np.full(mw.shape, np.inf) for key, mw in ends.items()}
        for key in ends:
            costs[key].append(real_time_usd(rows, key) + np.maximum(0.0, -rows.dual_usd(key, solution)))
    return {key: np.array(usd) for key, usd in costs.items()}


def _alone_by_difference(
    rows: OfferRows, nothing: Mapping[Key, Floats], most: Mapping[Key, Floats], key: Key, without: float, solver: Solver
) -> Floats:
    """Where blocks are sold all or nothing: what each interval's offer costs when it alone is accepted, usd_per_mw_h, shape (n,)."""
    usd = real_time_usd(rows, key)
    for t in np.flatnonzero(most[key] > 0):
        level = np.where(np.arange(rows.program.n) == t, most[key], 0.0)
        solution = solver.run(rows.at_least({**nothing, key: level}), NO_LIMIT_S)
        cost = solution.objective - without if solution.status in ANSWERED else np.inf
        usd[t] += max(0.0, cost) / (most[key][t] * rows.program.hours[t])
    return usd


def risk_price(usd: Floats, weight: float) -> Floats:
    """Scenarios in one price, shape (scenarios, ...) to (...): (1 - weight) x the mean + weight x the mean of the dearest 5 %."""
    worst = max(1, int(np.ceil(TAIL * len(usd))))
    dearest = np.sort(usd, axis=0)[-worst:].mean(axis=0)
    return np.asarray((1.0 - weight) * usd.mean(axis=0) + weight * dearest if weight else usd.mean(axis=0))
