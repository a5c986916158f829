"""Stages: promises first, in their order, then dollars. Knows what a solver gives, not which solver."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from optimizer.arrays import INF, Arrays, Yields
from optimizer.expr import Floats
from optimizer.program import Program

OPTIMAL = "optimal"
# Whole numbers, time up: the best found so far keeps every row.
FEASIBLE = "feasible"
INFEASIBLE = "infeasible"
NO_LIMIT_S = 1e6
ANSWERED = (OPTIMAL, FEASIBLE)
# What an earlier stage missed may be missed by that much more in a later one: solver tolerance, never a trade.
SETTLED = 1e-9


class SolveError(Exception):
    """No solver gave an answer that holds: the caller falls back to merit order."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Where a solver ended. `dual` is dollars an MW (or what the row counts) of upper side: minus d objective / d upper; `gap` is our own
    certificate: the relative distance between primal and dual objective (NaN with integers)."""

    x: Floats
    dual: Floats
    objective: float
    status: str
    gap: float
    run_s: float
    iterations: int
    broken: tuple[tuple[Yields, float], ...] = ()


class Solver(Protocol):
    """Anything that minimises Arrays."""

    def run(self, arrays: Arrays, budget_s: float) -> Solution:
        """Raises SolveError when it cannot tell."""
        ...


def best(program: Program, solver: Solver, budget_s: float = NO_LIMIT_S) -> Solution:
    """The most profitable plan that breaks nothing; when there is none, the one that breaks the least of the highest promise, then of the
    next, and only then earns the most. No price can outweigh a promise: dollars are first looked at when what is broken is settled.
    Raises SolveError."""
    return last_stage(program, solver, budget_s)[1]


def last_stage(program: Program, solver: Solver, budget_s: float = NO_LIMIT_S) -> tuple[Arrays, Solution]:
    """The arrays that were solved last, with what earlier stages settled as rows, and their solution. Raises SolveError."""
    arrays = program.arrays()
    firm, keep = _without_slack(program, arrays)
    solution = solver.run(firm, budget_s)
    if solution.status in ANSWERED:
        x = np.zeros(len(keep))
        x[keep] = solution.x
        return replace(arrays, upper=np.where(keep, arrays.upper, 0.0)), replace(solution, x=x)
    broken: list[tuple[Yields, float]] = []
    run_s = solution.run_s
    for level in sorted({e.level for e in program.elastic}, reverse=True):
        weight = _weights(program, level, arrays)
        stage = solver.run(replace(arrays, cost=weight, offset=0.0), budget_s - run_s)
        if stage.status not in ANSWERED:
            raise SolveError(f"no plan keeps the site's limits, even without {level.name.lower()}")
        run_s += stage.run_s
        broken.append((level, stage.objective))
        arrays = _with_row(arrays, weight, stage.objective + SETTLED * (1.0 + abs(stage.objective)))
    solution = solver.run(arrays, budget_s - run_s)
    if solution.status not in ANSWERED:
        raise SolveError("no plan keeps the site's limits")
    dual = solution.dual[: len(solution.dual) - len(broken)]
    kept_to = tuple((level, missed) for level, missed in broken if missed > SETTLED)
    return arrays, replace(solution, dual=dual, broken=kept_to, run_s=run_s + solution.run_s)


def _without_slack(program: Program, arrays: Arrays) -> tuple[Arrays, NDArray[np.bool_]]:
    """The arrays as if nothing could give way, and the columns they keep."""
    keep = np.ones(len(arrays.cost), dtype=bool)
    for e in program.elastic:
        for cols, _ in e.slack.terms:
            keep[cols] = False
    if keep.all():
        return arrays, keep
    column = np.where(keep, np.cumsum(keep) - 1, -1)
    m = arrays.matrix
    stays = keep[m.indices]
    starts = np.concatenate([[0], np.cumsum(stays)])[m.indptr]
    matrix = sparse.csr_matrix((m.data[stays], column[m.indices[stays]], starts), shape=(m.shape[0], int(keep.sum())))
    firm = replace(
        arrays,
        cost=arrays.cost[keep],
        lower=arrays.lower[keep],
        upper=arrays.upper[keep],
        integer=arrays.integer[keep],
        matrix=matrix,
    )
    return firm, keep


def _weights(program: Program, level: Yields, arrays: Arrays) -> Floats:
    weight = np.zeros(len(arrays.cost))
    for e in program.elastic:
        if e.level is level:
            for cols, _ in e.slack.terms:
                weight[cols] = program.hours
    return weight


def _with_row(arrays: Arrays, weights: Floats, most: float) -> Arrays:
    matrix = sparse.vstack([arrays.matrix, sparse.csr_matrix(weights[None, :])]).tocsr()
    return replace(arrays, matrix=matrix, row_lower=np.append(arrays.row_lower, -INF), row_upper=np.append(arrays.row_upper, most))
