"""Solving in stages (lexicographic): promises first, in their order, then dollars. Does not depend on a particular solver."""

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
# A program with integers whose time is up: the best solution found so far keeps every row.
FEASIBLE = "feasible"
INFEASIBLE = "infeasible"
NO_LIMIT_S = 1e6
ANSWERED = (OPTIMAL, FEASIBLE)
# How much more than in its own stage a promise may be missed in a later one: solver tolerance, never a trade.
STAGE_TOLERANCE = 1e-8
# Multiples of that, tried one after the other when rounding leaves a later stage infeasible.
WIDER_TOLERANCES = (10.0, 100.0)


class SolveError(Exception):
    """No solver gave a valid solution; the caller falls back to merit order."""


@dataclass(frozen=True, slots=True)
class Solution:
    """How a solver ended. `dual` is minus d objective / d row upper bound: dollars for each MW (or whatever the row counts). `gap` is our
    own certificate, the relative distance between primal and dual objective (NaN with integers). `broken` names the promises that are
    missed, by level, with the weighted amount."""

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
        """The optimum within `budget_s` seconds. Raises SolveError when there is no valid answer."""
        ...


def solve_in_stages(program: Program, solver: Solver, budget_s: float = NO_LIMIT_S) -> Solution:
    """The most profitable solution that keeps every promise. When there is none: the one that misses the least of the highest promise, then
    the least of the next, and among those earns the most. No price outweighs a promise, since dollars are the last stage. Raises
    SolveError."""
    return last_stage(program, solver, budget_s)[1]


def last_stage(program: Program, solver: Solver, budget_s: float = NO_LIMIT_S) -> tuple[Arrays, Solution]:
    """The arrays of the last stage, with the results of earlier stages as rows, and their solution. Raises SolveError."""
    firm = program.arrays()
    solution = solver.run(firm, budget_s)
    if solution.status in ANSWERED:
        return firm, _checked(firm, solution)
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
    kept_to = tuple((level, missed) for level, missed in broken if missed > STAGE_TOLERANCE)
    return arrays, replace(_checked(arrays, solution), dual=dual, broken=kept_to, run_s=run_s + solution.run_s)


def _run(solver: Solver, arrays: Arrays, broken: Sequence[tuple[Yields, float]], budget_s: float) -> tuple[Arrays, Solution]:
    """Solves one stage under the results of earlier ones; with a wider tolerance for their rounding when the stage would be infeasible."""
    solution, run_s = solver.run(arrays, budget_s), 0.0
    for room in WIDER_TOLERANCES if broken else ():
        if solution.status != INFEASIBLE:
            break
        run_s += solution.run_s
        upper = np.append(arrays.row_upper[: -len(broken)], [_most(missed, room) for _, missed in broken])
        arrays = replace(arrays, row_upper=upper)
        solution = solver.run(arrays, budget_s - run_s)
    return arrays, replace(solution, run_s=run_s + solution.run_s)


def _most(missed: float, room: float = 1.0) -> float:
    return missed + room * STAGE_TOLERANCE * (1.0 + abs(missed))


def _checked(arrays: Arrays, solution: Solution) -> Solution:
    """The solution, checked by our own sums to keep every row and bound. Raises SolveError when it does not."""
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
