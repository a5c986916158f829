"""HiGHS: passing a program to it, reading its solution, and branch and bound. Nothing is kept between calls."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np

from optimizer.lp.arrays import Arrays
from optimizer.lp.certificate import certificate
from optimizer.solve.integer_rounding import GAP
from optimizer.solve.lexicographic import FEASIBLE, INFEASIBLE, OPTIMAL, Solution, SolveError

OPTIONS = {"solver": "simplex", "threads": 1, "simplex_strategy": 1}
# Set before each run. Costs are not perturbed: the program's own tie-breaks do that, the same way each time.
# Devex weights are a fifth faster than steepest edge on these programs, and a given basis needs no weights computed.
# Reduced costs below 1e-7 are taken for zero, which is no small share of costs of 1e-5: a solution that fails its certificate for that is
# solved again to 1e-9.
FAST_OPTIONS = {
    "presolve": "off",
    "dual_simplex_cost_perturbation_multiplier": 0.0,
    "simplex_scale_strategy": 0,
    "simplex_dual_edge_weight_strategy": 1,
    "dual_feasibility_tolerance": 1e-7,
}
SAFE_OPTIONS = {
    "presolve": "on",
    "dual_simplex_cost_perturbation_multiplier": 1.0,
    "simplex_scale_strategy": 2,
    "simplex_dual_edge_weight_strategy": -1,
    "dual_feasibility_tolerance": 1e-9,
}
INTEGER_OPTIONS = {"solver": "choose", "mip_rel_gap": GAP, "dual_feasibility_tolerance": 1e-7}
INFEASIBLE_STATUSES = (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)
# A run that cycled, or ended without an answer.
NO_ANSWER = "no answer"


def new_highs(options: dict[str, Any]) -> Any:
    """A silent HiGHS object with these options."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.silent()
    for option, value in options.items():
        check_status(highs.setOptionValue(option, value))
    return highs


def pass_model(highs: Any, a: Arrays) -> None:
    """Passes the whole program to HiGHS. Raises SolveError when it is refused."""
    m = a.matrix
    sizes = (m.shape[1], m.shape[0], m.nnz, int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), float(a.offset))
    vectors = (a.cost, a.lower, a.upper, a.row_lower, a.row_upper)
    check_status(highs.passModel(*sizes, *vectors, m.indptr, m.indices, m.data, a.integer.astype(np.int32)))


def solution_of(highs: Any, arrays: Arrays, run_s: float) -> Solution:
    """The optimal solution that HiGHS holds, with our certificate of it."""
    found = highs.getSolution()
    x, dual = np.asarray(found.col_value, dtype=np.float64), -np.asarray(found.row_dual, dtype=np.float64)
    return Solution(x, dual, float(arrays.cost @ x + arrays.offset), OPTIMAL, certificate(arrays, x, dual), run_s)


def branch_and_bound(arrays: Arrays, start: Solution | None, budget_s: float) -> Solution:
    """A program with integers solved by branch and bound, from a known answer when given. The solution has no duals. Raises SolveError."""
    highs = new_highs({**OPTIONS, **SAFE_OPTIONS, **INTEGER_OPTIONS, "time_limit": max(0.0, budget_s)})
    pass_model(highs, arrays)
    if start is not None:
        known = highspy.HighsSolution()
        known.col_value = start.x
        highs.setSolution(known)
    if highs.run() == highspy.HighsStatus.kError:
        raise SolveError("HiGHS ended with an error")
    run_s, status = highs.getRunTime(), highs.getModelStatus()
    if status in INFEASIBLE_STATUSES:
        return no_solution(INFEASIBLE, run_s)
    if highs.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return no_solution(NO_ANSWER, run_s)
    x = np.asarray(highs.getSolution().col_value, dtype=np.float64)
    reached = OPTIMAL if status == highspy.HighsModelStatus.kOptimal else FEASIBLE
    return Solution(x, np.zeros(arrays.matrix.shape[0]), float(arrays.cost @ x + arrays.offset), reached, float("nan"), run_s)


def no_solution(status: str, run_s: float) -> Solution:
    """The outcome of a run that found no solution."""
    return Solution(np.zeros(0), np.zeros(0), float("nan"), status, float("nan"), run_s)


def check_status(status: highspy.HighsStatus) -> None:
    """Raises SolveError when a call of HiGHS failed."""
    if status == highspy.HighsStatus.kError:
        raise SolveError("HiGHS refused the program")
