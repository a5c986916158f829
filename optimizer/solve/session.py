"""A HiGHS session: what a plan in a hurry is solved by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import highspy
import numpy as np

from optimizer.lp.arrays import Arrays
from optimizer.lp.certificate import SLIP, slip
from optimizer.solve.highs import LOST, NOWHERE, OPTIONS, QUICK, SAFE, branched, load, must, nothing, read, solver
from optimizer.solve.integer_rounding import fixed, proved, rounded
from optimizer.solve.lexicographic import ANSWERED, FEASIBLE, INFEASIBLE, NO_LIMIT_S, OPTIMAL, Solution, SolveError

# The relative gap between a solution's two objectives above which it is solved again from nothing, and above which it is refused.
DOUBT, GAP = 1e-9, 1e-7
# The share of the time left that branching may take; the rest is for prices.
BRANCHING = 0.8
# Steps a row or column, at most, before a quick run counts as lost.
MOST_STEPS = 20


class Session:
    """A HiGHS object kept warm: the same matrix again only changes costs and bounds."""

    def __init__(self) -> None:
        self._highs: Any = None
        self._held: Arrays | None = None

    def run(self, arrays: Arrays, budget_s: float = NO_LIMIT_S) -> Solution:
        """Minimises. An answer that its certificate doubts, a hot "infeasible" and a run that lost its way are solved again from nothing;
        whole numbers are rounded from their relaxation where that is proved to do, else branched. Raises SolveError."""
        if not arrays.finite:
            raise SolveError("the program holds a number that is not finite")
        return self._whole(arrays, budget_s) if arrays.integer.any() else self._linear(arrays, budget_s)

    def _linear(self, arrays: Arrays, budget_s: float) -> Solution:
        hot = self._held is not None and self._held.matrix.like(arrays.matrix)
        solution = self._once(arrays, budget_s, hot, safe=False)
        if solution.status == LOST or (hot and solution.status == INFEASIBLE) or not _holds(solution, DOUBT):
            before_s = solution.run_s
            solution = self._once(arrays, budget_s - before_s, hot=False, safe=True)
            if solution.status == LOST or not _holds(solution, GAP):
                self._held = None
                raise SolveError(f"the certificate refuses the solution, gap {solution.gap:.1e}")
            solution = replace(solution, run_s=before_s + solution.run_s)
        return solution

    def _whole(self, arrays: Arrays, budget_s: float) -> Solution:
        best, relaxed, left_s = rounded(self._linear, arrays, budget_s)
        if relaxed.status == INFEASIBLE:
            return relaxed
        status = OPTIMAL
        if not proved(best, relaxed):
            found = branched(arrays, best, left_s * BRANCHING)
            status, left_s = found.status, left_s - found.run_s
            if status not in ANSWERED and best is None:
                if status == INFEASIBLE:
                    return replace(found, run_s=budget_s - left_s)
                raise SolveError("HiGHS found no whole numbers in time")
            if status in ANSWERED and (best is None or found.objective < best.objective):
                best = self._priced(arrays, found, left_s)
                left_s -= best.run_s
            status = status if status in ANSWERED else FEASIBLE
        assert best is not None
        return replace(best, status=status, gap=float("nan"), run_s=budget_s - left_s)

    def _priced(self, arrays: Arrays, found: Solution, left_s: float) -> Solution:
        """The program with its whole numbers held: from there come prices, and a certificate. Without time, the answer without prices."""
        try:
            priced = self._linear(fixed(arrays, found.x), left_s)
        except SolveError:
            priced = found
        if priced.status == OPTIMAL:
            return priced
        if slip(arrays, found.x) > SLIP:
            raise SolveError("whole numbers were found that do not keep every row")
        return replace(found, run_s=0.0)

    def _once(self, arrays: Arrays, budget_s: float, hot: bool, safe: bool) -> Solution:
        told = arrays if safe else arrays.boxed()
        highs = self._update(told) if hot and self._highs is not None else self._load(told)
        before = highs.getRunTime()
        for option, value in (SAFE if safe else QUICK).items():
            must(highs.setOptionValue(option, value))
        # HiGHS adds up the time of every run of one object (OPTIMIZER 3).
        must(highs.setOptionValue("time_limit", before + max(0.0, budget_s)))
        must(highs.setOptionValue("simplex_iteration_limit", 2**31 - 1 if safe else MOST_STEPS * sum(arrays.matrix.shape) + 1000))
        if highs.run() == highspy.HighsStatus.kError:
            self._held = None
            raise SolveError("HiGHS ended with an error")
        run_s = highs.getRunTime() - before
        status = highs.getModelStatus()
        if status in NOWHERE:
            return nothing(INFEASIBLE, run_s)
        if status == highspy.HighsModelStatus.kOptimal:
            return read(highs, arrays, run_s)
        if status == highspy.HighsModelStatus.kIterationLimit and not safe:
            self._held = None
            return nothing(LOST, run_s)
        self._held = None
        raise SolveError(f"HiGHS ended with {highs.modelStatusToString(status)}")

    def _load(self, a: Arrays) -> Any:
        if self._highs is None:
            self._highs = solver(OPTIONS)
        load(self._highs, a)
        self._held = a
        return self._highs

    def _update(self, a: Arrays) -> Any:
        highs, held = self._highs, self._held
        assert held is not None
        self._held = None
        if (moved := np.flatnonzero(held.cost != a.cost).astype(np.int32)).size:
            must(highs.changeColsCost(len(moved), moved, a.cost[moved]))
        if (moved := np.flatnonzero((held.lower != a.lower) | (held.upper != a.upper)).astype(np.int32)).size:
            must(highs.changeColsBounds(len(moved), moved, a.lower[moved], a.upper[moved]))
        if (moved := np.flatnonzero((held.row_lower != a.row_lower) | (held.row_upper != a.row_upper)).astype(np.int32)).size:
            must(highs.changeRowsBounds(len(moved), moved, a.row_lower[moved], a.row_upper[moved]))
        must(highs.changeObjectiveOffset(float(a.offset)))
        self._held = a
        return highs


def _holds(solution: Solution, gap: float) -> bool:
    """Whether our own sums bear a solution out."""
    return solution.status not in ANSWERED or (bool(np.isfinite(solution.x).all()) and solution.gap <= gap)
