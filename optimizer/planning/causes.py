"""Why the first interval of a plan is as it is: which rows of the program hold a group, and what demand charges do.

A row's dual times a group's coefficient in it is what the row costs a thousand more rigs of the group, dollars; the rows that cost most are
the cause. Without a solution (merit order) only the limits that bind are known.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from markets import usd_text
from optimizer.domain.row_kind import RowKind
from optimizer.lp import phrases
from optimizer.lp.arrays import Named
from optimizer.lp.period_rows import HIGHEST
from optimizer.planning.result import Plan

# A load this close to an instruction counts as at it: one watt.
SLACK_MW = 1e-6
# Of what holds a group, the rows that cost it at least this share of the most.
CAUSE_SHARE = 0.25
MOST_CAUSES = 3
# Dollars for a thousand rigs below which a row is no cause.
LEAST_USD = 1e-6
# Of rows that no person would know by name: what they stand for, by how their names begin.
STANDS_FOR = {
    HIGHEST: "the demand charge of {contract}",
    "headroom": "the reserve of {contract}",
    "shed in time": "the reserve of {contract}",
    "floor of headroom": "the reserve of {contract}",
    "footroom": "the reserve of {contract}",
    "ceiling of footroom": "the reserve of {contract}",
    "interconnect footroom": "the reserve of {contract}, within the interconnect",
    "hall footroom": "the reserve of {contract}, within the hall",
    "available": "the availability that {contract} pays for",
    "avoid": "the operator's list of {contract}",
    "missing": "the delivery that {contract} promises",
    "so far": "the delivery that {contract} promises",
    "stops": "what a start costs",
}


def held_by(plan: Plan, group: str, cheap: bool) -> str:
    """Why a group does not do what its price asks for when no instruction and no recent move says so."""
    program = plan.origin.program
    meter = program.site.meter_of[group].id
    if not cheap and any(plan.generation[made.name][0] > SLACK_MW for made in program.generators(meter)):
        return f"it runs on power generated behind meter {meter}"
    if plan.origin.dual is not None:
        causes = _causes(plan, group, cheap)
    else:
        causes = [name for name, worth in plan.shadow_prices.items() if worth[0] > 0]
    if causes:
        return f"{'limited' if cheap else 'held'} by {', '.join(causes)}"
    if any(r.kind in (RowKind.MINIMUM_TIME, RowKind.STARTS) for r in program.rows):
        return "the cheap spell is too short to repay a start" if cheap else "the expensive spell is too short to repay a stop and a start"
    return "limits or contract terms of other hours decide"


def demand_charges(plan: Plan) -> Iterable[str]:
    """Where a demand charge holds the load down: under how many MW, when, and what one MW more would cost."""
    dual, program = plan.origin.dual, plan.origin.program
    for rows in program.rows if dual is not None else ():
        if not rows.name.startswith(HIGHEST) or dual is None:
            continue
        worth = np.zeros(program.n)
        worth[rows.at] = np.abs(dual[rows.first : rows.first + rows.size])
        if worth.sum() > LEAST_USD:
            contract, binds = program.contract_of.get(rows.first, ""), worth > LEAST_USD
            names = next((o.scope.names(plan.origin.site) for o in plan.origin.book if o.name == contract), ())
            load = sum((plan.groups[name].load_mw for name in names), np.zeros(program.n))
            when = phrases.hours(plan.origin.site.market, plan.grid, binds)
            yield (
                f"{contract}: the load is held under {float(load[binds].max()):.4g} MW ({when}) because one MW more costs "
                f"{usd_text(float(worth.sum()))} of its charge for these hours"
            )


def _causes(plan: Plan, group: str, cheap: bool) -> list[str]:
    """The rows that hold a group down in the first interval (`cheap`), or up, those that cost most first, in words."""
    forces = _forces(plan, group)
    against = {name: usd if cheap else -usd for name, usd in forces.items()}
    most = max(against.values(), default=0.0)
    if most <= LEAST_USD:
        return []
    ranked = sorted(((usd, name) for name, usd in against.items() if usd >= CAUSE_SHARE * most), reverse=True)
    return [name for _, name in ranked[:MOST_CAUSES]]


def _forces(plan: Plan, group: str) -> dict[str, float]:
    """By cause in words: what its rows cost a thousand more rigs of a group in the first interval; negative where they ask for more."""
    program, dual = plan.origin.program, plan.origin.dual
    assert dual is not None
    cols = program.steps(group)[0].cols[:, 0]
    matrix = program.matrix
    entries = np.flatnonzero(np.isin(matrix.indices, cols))
    at = np.searchsorted(matrix.indptr, entries, side="right") - 1
    usd = dual[at] * matrix.data[entries]
    firsts = np.array([rows.first for rows in program.rows])
    forces: dict[str, float] = {}
    for block, value in zip(np.searchsorted(firsts, at, side="right") - 1, usd, strict=True):
        if abs(value) > LEAST_USD:
            name = _named(program.rows[int(block)], program.contract_of.get(program.rows[int(block)].first, ""))
            forces[name] = forces.get(name, 0.0) + float(value)
    return forces


def _named(rows: Named, contract: str) -> str:
    if rows.kind is RowKind.MINIMUM_TIME:
        return "minimum times"
    if rows.kind is not RowKind.OTHER or not contract:
        return rows.name
    known = next((text for begins, text in STANDS_FOR.items() if rows.name.startswith(begins)), "the terms of {contract}")
    return known.format(contract=contract)
