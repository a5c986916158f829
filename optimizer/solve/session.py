"""A HiGHS session that is kept between plans: a program whose matrix is unchanged starts from the last basis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import highspy
import numpy as np

from optimizer.lp.arrays import Arrays
from optimizer.lp.certificate import SLIP, slip
from optimizer.solve.highs import (
    FAST_OPTIONS,
    INFEASIBLE_STATUSES,
    NO_ANSWER,
    OPTIONS,
    SAFE_OPTIONS,
    branch_and_bound,
    check_status,
    new_highs,
    no_solution,
    pass_model,
    solution_of,
)
from optimizer.solve.integer_rounding import best_rounding, proved_optimal, with_fixed_integers
from optimizer.solve.lexicographic import ANSWERED, FEASIBLE, INFEASIBLE, NO_LIMIT_S, OPTIMAL, Solution, SolveError

# The relative gap between primal and dual objective above which a program is solved again from scratch, and above which it is refused.
RETRY_GAP, GAP = 1e-9, 1e-7
# The share of the time left that branch and bound may take; the rest is for computing duals.
BRANCHING = 0.8
# Simplex iterations for each row and column after which a fast run is given up.
MAX_ITERATIONS = 20


class Session:
    """A HiGHS object that stays loaded: when the matrix is the same again, only costs and bounds are changed."""

    def __init__(self) -> None:
        self._highs: Any = None
        self._loaded: Arrays | None = None

    def run(self, arrays: Arrays, budget_s: float = NO_LIMIT_S) -> Solution:
        """Minimises. A solution with a large certificate gap, an "infeasible" from a warm start, and a run without an answer are solved
        again from scratch. Integers are rounded from the relaxation where that is proved optimal, else branched on. Raises SolveError."""
        if not arrays.finite:
            raise SolveError("the program holds a number that is not finite")
        return self._integer(arrays, budget_s) if arrays.integer.any() else self._linear(arrays, budget_s)

    def _linear(self, arrays: Arrays, budget_s: float) -> Solution:
        warm = self._loaded is not None and self._loaded.matrix.like(arrays.matrix)
        solution = self._once(arrays, budget_s, warm, safe=False)
        if solution.status == NO_ANSWER or (warm and solution.status == INFEASIBLE) or not _holds(solution, RETRY_GAP):
            before_s = solution.run_s
            solution = self._once(arrays, budget_s - before_s, warm=False, safe=True)
            if solution.status == NO_ANSWER or not _holds(solution, GAP):
                self._loaded = None
                raise SolveError(f"the solution fails its certificate, gap {solution.gap:.1e}")
            solution = replace(solution, run_s=before_s + solution.run_s)
        return solution

    def _integer(self, arrays: Arrays, budget_s: float) -> Solution:
        best, relaxed, left_s = best_rounding(self._linear, arrays, budget_s)
        if relaxed.status == INFEASIBLE:
            return relaxed
        status = OPTIMAL
        if not proved_optimal(best, relaxed):
            found = branch_and_bound(arrays, best, left_s * BRANCHING)
            status, left_s = found.status, left_s - found.run_s
            if status not in ANSWERED and best is None:
                if status == INFEASIBLE:
                    return replace(found, run_s=budget_s - left_s)
                raise SolveError("HiGHS found no integer solution in time")
            if status in ANSWERED and (best is None or found.objective < best.objective):
                best = self._with_duals(arrays, found, left_s)
                left_s -= best.run_s
            status = status if status in ANSWERED else FEASIBLE
        assert best is not None
        return replace(best, status=status, gap=float("nan"), run_s=budget_s - left_s)

    def _with_duals(self, arrays: Arrays, found: Solution, left_s: float) -> Solution:
        """The program solved with its integers fixed, which gives duals and a certificate. Without time for it, the solution without
        duals."""
        try:
            priced = self._linear(with_fixed_integers(arrays, found.x), left_s)
        except SolveError:
            priced = found
        if priced.status == OPTIMAL:
            return priced
        if slip(arrays, found.x) > SLIP:
            raise SolveError("the integer solution does not keep every row")
        return replace(found, run_s=0.0)

    def _once(self, arrays: Arrays, budget_s: float, warm: bool, safe: bool) -> Solution:
        boxed = arrays if safe else arrays.boxed()
        highs = self._update(boxed) if warm and self._highs is not None else self._load(boxed)
        before = highs.getRunTime()
        for option, value in (SAFE_OPTIONS if safe else FAST_OPTIONS).items():
            check_status(highs.setOptionValue(option, value))
        # HiGHS adds up the time of every run of one object.
        check_status(highs.setOptionValue("time_limit", before + max(0.0, budget_s)))
        check_status(
            highs.setOptionValue("simplex_iteration_limit", 2**31 - 1 if safe else MAX_ITERATIONS * sum(arrays.matrix.shape) + 1000)
        )
        if highs.run() == highspy.HighsStatus.kError:
            self._loaded = None
            raise SolveError("HiGHS ended with an error")
        run_s = highs.getRunTime() - before
        status = highs.getModelStatus()
        if status in INFEASIBLE_STATUSES:
            return no_solution(INFEASIBLE, run_s)
        if status == highspy.HighsModelStatus.kOptimal:
            return solution_of(highs, arrays, run_s)
        if status == highspy.HighsModelStatus.kIterationLimit and not safe:
            self._loaded = None
            return no_solution(NO_ANSWER, run_s)
        self._loaded = None
        raise SolveError(f"HiGHS ended with {highs.modelStatusToString(status)}")

    def _load(self, a: Arrays) -> Any:
        if self._highs is None:
            self._highs = new_highs(OPTIONS)
        pass_model(self._highs, a)
        self._loaded = a
        return self._highs

    def _update(self, a: Arrays) -> Any:
        highs, loaded = self._highs, self._loaded
        assert loaded is not None
        self._loaded = None
        if (changed := np.flatnonzero(loaded.cost != a.cost).astype(np.int32)).size:
            check_status(highs.changeColsCost(len(changed), changed, a.cost[changed]))
        if (changed := np.flatnonzero((loaded.lower != a.lower) | (loaded.upper != a.upper)).astype(np.int32)).size:
            check_status(highs.changeColsBounds(len(changed), changed, a.lower[changed], a.upper[changed]))
        if (changed := np.flatnonzero((loaded.row_lower != a.row_lower) | (loaded.row_upper != a.row_upper)).astype(np.int32)).size:
            check_status(highs.changeRowsBounds(len(changed), changed, a.row_lower[changed], a.row_upper[changed]))
        check_status(highs.changeObjectiveOffset(float(a.offset)))
        self._loaded = a
        return highs


def _holds(solution: Solution, gap: float) -> bool:
    """Whether a solution is finite and its certificate gap is at most `gap`."""
    return solution.status not in ANSWERED or (bool(np.isfinite(solution.x).all()) and solution.gap <= gap)
