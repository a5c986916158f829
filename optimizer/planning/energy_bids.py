"""Bids for energy: up to how much load runs at which energy price, by the plan's own program.

The load of each meter is held at one share after the other of what it can run; the price at which the last megawatt earns nothing is the
price of the interval plus the dual of the row that holds it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.domain.site import meters_of
from optimizer.lp.build import build_program
from optimizer.lp.fill_gaps import fill_gaps
from optimizer.planning.offer_rows import OUTWEIGHS_USD, Curve, Key, OfferCase, OfferRows, just_below
from optimizer.solve.integer_rounding import with_fixed_integers
from optimizer.solve.lexicographic import ANSWERED, NO_LIMIT_S, Solver

MAX_STEPS = 10


def energy_bids(case: OfferCase, solver: Solver) -> tuple[Curve, ...]:
    """A bid for each meter: up to how much load runs at which energy price at its settlement point. Raises SolveError."""
    cohorts = case.cohorts
    # The market clears energy and reserve together: what reserve earns is in the reserve offers, not in the bid.
    program = build_program(cohorts, case.book, replace(fill_gaps(case.outlook)[0], reserve={}))
    meters = meters_of(cohorts.site, [g.name for g in cohorts.site.groups])
    of = {(meter.id, "ENERGY"): program.load_mw(groups) for meter, groups in meters}
    zero = np.zeros(program.n)
    rows = OfferRows.of_program(program, of, case.inside, dict.fromkeys(of, zero))
    plain = solver.run(rows.arrays, NO_LIMIT_S)
    if plain.status not in ANSWERED:
        return ()
    rows = replace(rows, arrays=with_fixed_integers(rows.arrays, plain.x))
    outweighs = np.where(case.inside, OUTWEIGHS_USD, 0.0)
    ends = [solver.run(rows.weighed(dict.fromkeys(of, sign * outweighs)), NO_LIMIT_S) for sign in (-1.0, 1.0)]
    least, most = ({key: expr.at(end.x) for key, expr in of.items()} for end in ends)
    shares = case.shares(MAX_STEPS)
    usd: dict[Key, list[Floats]] = {key: [] for key in of}
    for below in just_below(shares):
        level = {key: least[key] + below * (most[key] - least[key]) for key in of}
        solution = solver.run(rows.at_least(level, exactly=True), NO_LIMIT_S)
        if solution.status not in ANSWERED:
            return ()
        for meter, _ in meters:
            key = (meter.id, "ENERGY")
            usd[key].append(program.energy_price(meter.settlement_point) + rows.dual_usd(key, solution) / meter.loss_factor)
    ends_mw = {key: np.array([least[key] + share * (most[key] - least[key]) for share in shares]) for key in of}
    mw = {key: np.maximum.accumulate(ends, axis=0) for key, ends in ends_mw.items()}
    return tuple(Curve(*key, mw[key], np.minimum.accumulate(np.array(usd[key]), axis=0)) for key in of)
