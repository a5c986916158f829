"""The exits of a Program: a HiGHS session (hot), PuLP (named LP and MPS files, CBC), scipy. The only file that knows a solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import highspy
import numpy as np
from scipy import sparse

from optimizer.expr import Floats
from optimizer.program import INF, Arrays, Elastic, Program, Yields

OPTIMAL = "optimal"
INFEASIBLE = "infeasible"
# Doubt about a solution: relative gap between its two objectives, and how far a row or a reduced cost may be on the wrong side.
GAP = 1e-7
SLIP = 1e-6
NO_LIMIT_S = 1e6


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


class Session:
    """A HiGHS object kept warm: the same matrix again only changes costs and bounds."""

    def __init__(self) -> None:
        self._highs: Any = None
        self._held: Arrays | None = None

    def run(self, arrays: Arrays, budget_s: float = NO_LIMIT_S) -> Solution:
        """Minimises. A hot answer that its certificate doubts is solved again from nothing. Raises SolveError."""
        if not arrays.finite:
            raise SolveError("the program holds a number that is not finite")
        hot = self._held is not None and _same_shape(self._held, arrays)
        solution = self._once(arrays, budget_s, hot, presolve=False)
        if solution.status == OPTIMAL and _doubtful(arrays, solution):
            solution = self._once(arrays, budget_s, hot=False, presolve=True)
            if solution.status == OPTIMAL and _doubtful(arrays, solution):
                raise SolveError(f"certificate gap {solution.gap:.1e}")
        return solution

    def _once(self, arrays: Arrays, budget_s: float, hot: bool, presolve: bool) -> Solution:
        highs = self._update(arrays) if hot and self._highs is not None else self._load(arrays)
        before = highs.getRunTime()
        _must(highs.setOptionValue("presolve", "on" if presolve or arrays.integer.any() else "off"))
        # HiGHS adds up the time of every run of one object (OPTIMIZER 3).
        _must(highs.setOptionValue("time_limit", before + budget_s))
        if highs.run() == highspy.HighsStatus.kError:
            self._held = None
            raise SolveError("HiGHS ended with an error")
        run_s = highs.getRunTime() - before
        status = highs.getModelStatus()
        if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            return _nothing(INFEASIBLE, run_s)
        if status != highspy.HighsModelStatus.kOptimal:
            self._held = None
            raise SolveError(f"HiGHS ended with {highs.modelStatusToString(status)}")
        return self._read(highs, arrays, run_s)

    def _read(self, highs: Any, arrays: Arrays, run_s: float) -> Solution:
        found, info = highs.getSolution(), highs.getInfo()
        x = np.asarray(found.col_value, dtype=np.float64)
        objective = float(arrays.cost @ x + arrays.offset)
        if arrays.integer.any():
            dual = self._dual_with_integers_fixed(arrays, x)
            return Solution(x, dual, objective, OPTIMAL, float("nan"), run_s, int(info.simplex_iteration_count))
        dual = -np.asarray(found.row_dual, dtype=np.float64)
        return Solution(x, dual, objective, OPTIMAL, certificate(arrays, x, dual), run_s, int(info.simplex_iteration_count))

    def _dual_with_integers_fixed(self, arrays: Arrays, x: Floats) -> Floats:
        fixed = np.round(x)
        lower = np.where(arrays.integer, fixed, arrays.lower)
        upper = np.where(arrays.integer, fixed, arrays.upper)
        linear = replace(arrays, lower=lower, upper=upper, integer=np.zeros_like(arrays.integer))
        return Session().run(linear).dual

    def _load(self, a: Arrays) -> Any:
        if self._highs is None:
            self._highs = highspy.Highs()  # type: ignore[no-untyped-call]
            self._highs.silent()
            for option, value in (("solver", "simplex"), ("threads", 1), ("simplex_strategy", 1), ("mip_rel_gap", 1e-6)):
                _must(self._highs.setOptionValue(option, value))
        highs, m = self._highs, a.matrix
        rows, cols = m.shape
        sizes = (cols, rows, m.nnz, int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), float(a.offset))
        vectors = (a.cost, a.lower, a.upper, a.row_lower, a.row_upper)
        index = (m.indptr.astype(np.int32), m.indices.astype(np.int32), m.data)
        _must(highs.passModel(*sizes, *vectors, *index, a.integer.astype(np.int32)))
        self._held = a
        return highs

    def _update(self, a: Arrays) -> Any:
        highs, held = self._highs, self._held
        assert held is not None
        self._held = None
        if (moved := np.flatnonzero(held.cost != a.cost).astype(np.int32)).size:
            _must(highs.changeColsCost(len(moved), moved, a.cost[moved]))
        if (moved := np.flatnonzero((held.lower != a.lower) | (held.upper != a.upper)).astype(np.int32)).size:
            _must(highs.changeColsBounds(len(moved), moved, a.lower[moved], a.upper[moved]))
        if (moved := np.flatnonzero((held.row_lower != a.row_lower) | (held.row_upper != a.row_upper)).astype(np.int32)).size:
            _must(highs.changeRowsBounds(len(moved), moved, a.row_lower[moved], a.row_upper[moved]))
        _must(highs.changeObjectiveOffset(float(a.offset)))
        self._held = a
        return highs


def best(program: Program, solver: Solver, budget_s: float = NO_LIMIT_S) -> Solution:
    """The most profitable plan that breaks nothing; when there is none, the one that breaks the least of the highest promise, then of the
    next, and only then earns the most. No price can outweigh a promise: dollars are first looked at when what is broken is settled.
    Raises SolveError."""
    arrays = program.arrays()
    solution = solver.run(_closed(arrays, program.elastic), budget_s) if program.elastic else solver.run(arrays, budget_s)
    if solution.status == OPTIMAL:
        return solution
    if not program.elastic:
        raise SolveError("no plan keeps the site's limits")
    broken: list[tuple[Yields, float]] = []
    run_s = solution.run_s
    for level in sorted({e.level for e in program.elastic}, reverse=True):
        weight = _weights(program, level, arrays)
        first = Session().run(replace(arrays, cost=weight, offset=0.0), budget_s)
        if first.status != OPTIMAL:
            raise SolveError(f"no plan keeps the site's limits, even without {level.name.lower()}")
        run_s += first.run_s
        broken.append((level, first.objective))
        arrays = _with_row(arrays, weight, first.objective + 1e-9 * (1.0 + abs(first.objective)))
    last = Session().run(arrays, budget_s)
    if last.status != OPTIMAL:
        raise SolveError("the least that must be broken could not be kept to")
    kept = last.dual[: len(last.dual) - len(broken)]
    return replace(last, dual=kept, broken=tuple(b for b in broken if b[1] > 1e-9), run_s=run_s + last.run_s)


def certificate(a: Arrays, x: Floats, dual: Floats) -> float:
    """Relative gap between the primal objective and the dual one, both our own sums; infinite when a row, a bound or a reduced cost is
    on the wrong side by more than SLIP."""
    activity = a.matrix @ x
    scale = 1.0 + np.abs(activity)
    slip = max(_most((a.row_lower - activity) / scale), _most((activity - a.row_upper) / scale), _most(a.lower - x), _most(x - a.upper))
    if slip > SLIP:
        return INF
    y = -dual
    reduced = a.cost - a.matrix.T @ y
    parts = _sided(y, a.row_lower, a.row_upper), _sided(reduced, a.lower, a.upper)
    if any(part is None for part in parts):
        return INF
    primal, dual_value = float(a.cost @ x), float(sum(p for p in parts if p is not None))
    return abs(primal - dual_value) / (1.0 + abs(primal))


def _sided(price: Floats, lower: Floats, upper: Floats) -> float | None:
    """What prices say of sides: positive ones rest on the lower side, negative ones on the upper; None when one rests on nothing."""
    side = np.where(price > 0, lower, upper)
    open_ = ~np.isfinite(side)
    scale = 1.0 + np.abs(price).max(initial=0.0)
    if (np.abs(price[open_]) > SLIP * scale).any():
        return None
    return float(price[~open_] @ side[~open_])


def _doubtful(arrays: Arrays, solution: Solution) -> bool:
    return not np.isfinite(solution.x).all() or (not arrays.integer.any() and not solution.gap <= GAP)


def _closed(arrays: Arrays, elastic: Sequence[Elastic]) -> Arrays:
    upper = arrays.upper.copy()
    for e in elastic:
        for cols, _ in e.slack.terms:
            upper[cols] = 0.0
    return replace(arrays, upper=upper)


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


def _same_shape(held: Arrays, a: Arrays) -> bool:
    one, other = held.matrix, a.matrix
    same = one.shape == other.shape and one.nnz == other.nnz and np.array_equal(held.integer, a.integer)
    return bool(
        same
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.data, other.data)
    )


def _nothing(status: str, run_s: float) -> Solution:
    return Solution(np.zeros(0), np.zeros(0), float("nan"), status, float("nan"), run_s, 0)


def _must(status: highspy.HighsStatus) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolveError("HiGHS refused the program")


def _most(values: Floats) -> float:
    return float(values.max(initial=0.0))
