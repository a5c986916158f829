"""Bids for energy: up to how much load runs at which energy price, by the plan's own program.

The load of each meter is held at one share after the other of what it can run; the price at which the last megawatt earns nothing is the
price of the interval plus the dual of the row that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.domain.energy_bid_terms import bid_terms
from optimizer.domain.market_rules import days
from optimizer.domain.site import Meter, meters_of
from optimizer.lp.build import build_program
from optimizer.lp.fill_gaps import fill_gaps
from optimizer.lp.program import Program
from optimizer.planning.offer_rows import OUTWEIGHS_USD, Curve, Key, OfferCase, OfferRows, just_below
from optimizer.solve.integer_rounding import with_fixed_integers
from optimizer.solve.lexicographic import ANSWERED, NO_LIMIT_S, Solver

MAX_STEPS = 10


def energy_bids(case: OfferCase, solver: Solver) -> tuple[Curve, ...]:
    """A bid for each meter: up to how much load runs at which energy price at its settlement point. Raises SolveError."""
    cohorts = case.cohorts
    # The market clears energy and reserve together: what reserve earns is in the reserve offers, not in the bid.
    program = build_program(cohorts, case.book, replace(fill_gaps(case.outlook)[0], reserve={}), for_bids=True)
    meters = meters_of(cohorts.site, [g.name for g in cohorts.site.groups])
    of = {(meter.id, "ENERGY"): program.load_mw(groups) for meter, groups in meters}
    prices = {(meter.id, "ENERGY"): _price_and_cap(case, program, meter, groups) for meter, groups in meters}
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
            price, cap = prices[key]
            usd[key].append(np.minimum(cap, price + rows.dual_usd(key, solution) / meter.loss_factor))
    ends_mw = {key: np.array([least[key] + share * (most[key] - least[key]) for share in shares]) for key in of}
    mw = {key: np.maximum.accumulate(ends, axis=0) for key, ends in ends_mw.items()}
    return tuple(Curve(*key, mw[key], np.minimum.accumulate(np.array(usd[key]), axis=0)) for key in of)


def _price_and_cap(case: OfferCase, program: Program, meter: Meter, groups: Sequence[str]) -> tuple[Floats, Floats]:
    """The price at which the meter's energy settles in each interval, and the most it may be bid at there."""
    on = days(program.grid, program.site.market)
    terms = {day: bid_terms(case.book, case.site, groups, day) for day in dict.fromkeys(on)}
    at = {point: program.energy_price(point) for point in {t.settlement_point or meter.settlement_point for t in terms.values()}}
    price = [at[terms[day].settlement_point or meter.settlement_point][t] for t, day in enumerate(on)]
    caps = [terms[day].cap_usd_per_mwh for day in on]
    return np.array(price), np.array([np.inf if cap is None else cap for cap in caps])
