"""Stages: promises first, in their order, then dollars. Knows what a solver gives, not which solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from optimizer.domain.array_types import Floats
from optimizer.lp.arrays import INF, Arrays, Yields
from optimizer.lp.certificate import SLIP, slip
from optimizer.lp.program import Program

OPTIMAL = "optimal"
# Whole numbers, time up: the best found so far keeps every row.
FEASIBLE = "feasible"
INFEASIBLE = "infeasible"
NO_LIMIT_S = 1e6
ANSWERED = (OPTIMAL, FEASIBLE)
# What an earlier stage missed may be missed by that much more in a later one: solver tolerance, never a trade.
SETTLED = 1e-8
# So many times that, one after the other, where rounding leaves a later stage nothing.
ROOMS = (10.0, 100.0)


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
    firm = program.arrays()
    solution = solver.run(firm, budget_s)
    if solution.status in ANSWERED:
        return firm, _kept(firm, solution)
    arrays = program.with_slack(firm)
    broken: list[tuple[Yields, float]] = []
    run_s = solution.run_s
    for level in sorted({e.level for e in program.elastic}, reverse=True):
        weight = _weights(program, level, arrays)
        _, stage = _run(solver, replace(arrays, cost=weight, offset=0.0), broken, budget_s - run_s)
        if stage.status not in ANSWERED:
            raise SolveError(f"no plan keeps the site's limits, even without {level.name.lower()}")
        run_s += stage.run_s
        broken.append((level, stage.objective))
        arrays = _with_row(arrays, weight, _most(stage.objective))
    arrays, solution = _run(solver, arrays, broken, budget_s - run_s)
    if solution.status not in ANSWERED:
        raise SolveError("no plan keeps the site's limits")
    dual = solution.dual[: len(solution.dual) - len(broken)]
    kept_to = tuple((level, missed) for level, missed in broken if missed > SETTLED)
    return arrays, replace(_kept(arrays, solution), dual=dual, broken=kept_to, run_s=run_s + solution.run_s)


def _run(solver: Solver, arrays: Arrays, broken: Sequence[tuple[Yields, float]], budget_s: float) -> tuple[Arrays, Solution]:
    """A stage, under what earlier ones settled: with more room for their rounding where that alone leaves nothing."""
    solution, run_s = solver.run(arrays, budget_s), 0.0
    for room in ROOMS if broken else ():
        if solution.status != INFEASIBLE:
            break
        run_s += solution.run_s
        upper = np.append(arrays.row_upper[: -len(broken)], [_most(missed, room) for _, missed in broken])
        arrays = replace(arrays, row_upper=upper)
        solution = solver.run(arrays, budget_s - run_s)
    return arrays, replace(solution, run_s=run_s + solution.run_s)


def _most(missed: float, room: float = 1.0) -> float:
    return missed + room * SETTLED * (1.0 + abs(missed))


def _kept(arrays: Arrays, solution: Solution) -> Solution:
    """The solution, whoever made it, once our own sums say that it keeps every row and bound. Raises SolveError."""
    if solution.x.shape != arrays.cost.shape or not np.isfinite(solution.x).all() or slip(arrays, solution.x) > SLIP:
        raise SolveError("the solver's answer does not keep the limits")
    return solution


def _weights(program: Program, level: Yields, arrays: Arrays) -> Floats:
    weight = np.zeros(len(arrays.cost))
    for e in program.elastic:
        if e.level is level:
            first = program.width + e.slack
            weight[first : first + len(e.at)] = program.hours[e.at]
    return weight


def _with_row(arrays: Arrays, weights: Floats, most: float) -> Arrays:
    row_lower, row_upper = np.append(arrays.row_lower, -INF), np.append(arrays.row_upper, most)
    return replace(arrays, matrix=arrays.matrix.with_row(weights), row_lower=row_lower, row_upper=row_upper)
