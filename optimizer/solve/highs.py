"""HiGHS: how a program goes in and what comes out, and branching. Nothing is remembered here."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np

from optimizer.lp.arrays import Arrays
from optimizer.lp.certificate import certificate
from optimizer.solve.integer_rounding import GAP
from optimizer.solve.lexicographic import FEASIBLE, INFEASIBLE, OPTIMAL, Solution, SolveError

OPTIONS = {"solver": "simplex", "threads": 1, "simplex_strategy": 1}
# Told before each run. Costs are not perturbed: the program's own tie-breaks do that, the same way each time.
# Devex weights: on these programs a fifth quicker than steepest edge, and a basis that is handed in needs none worked out.
QUICK = {
    "presolve": "off",
    "dual_simplex_cost_perturbation_multiplier": 0.0,
    "simplex_scale_strategy": 0,
    "simplex_dual_edge_weight_strategy": 1,
}
SAFE = {
    "presolve": "on",
    "dual_simplex_cost_perturbation_multiplier": 1.0,
    "simplex_scale_strategy": 2,
    "simplex_dual_edge_weight_strategy": -1,
}
WHOLE = {"solver": "choose", "mip_rel_gap": GAP}
NOWHERE = (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible)
# A run that went in circles, or ended without an answer.
LOST = "lost"


def solver(options: dict[str, Any]) -> Any:
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.silent()
    for option, value in options.items():
        must(highs.setOptionValue(option, value))
    return highs


def load(highs: Any, a: Arrays) -> None:
    m = a.matrix
    sizes = (m.shape[1], m.shape[0], m.nnz, int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), float(a.offset))
    vectors = (a.cost, a.lower, a.upper, a.row_lower, a.row_upper)
    must(highs.passModel(*sizes, *vectors, m.indptr, m.indices, m.data, a.integer.astype(np.int32)))


def read(highs: Any, arrays: Arrays, run_s: float) -> Solution:
    found = highs.getSolution()
    x, dual = np.asarray(found.col_value, dtype=np.float64), -np.asarray(found.row_dual, dtype=np.float64)
    return Solution(x, dual, float(arrays.cost @ x + arrays.offset), OPTIMAL, certificate(arrays, x, dual), run_s)


def branched(arrays: Arrays, start: Solution | None, budget_s: float) -> Solution:
    """A program with whole numbers by branch and bound, from an answer that is known. Its duals are not told. Raises SolveError."""
    highs = solver({**OPTIONS, **SAFE, **WHOLE, "time_limit": max(0.0, budget_s)})
    load(highs, arrays)
    if start is not None:
        known = highspy.HighsSolution()
        known.col_value = start.x
        highs.setSolution(known)
    if highs.run() == highspy.HighsStatus.kError:
        raise SolveError("HiGHS ended with an error")
    run_s, status = highs.getRunTime(), highs.getModelStatus()
    if status in NOWHERE:
        return nothing(INFEASIBLE, run_s)
    if highs.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return nothing(LOST, run_s)
    x = np.asarray(highs.getSolution().col_value, dtype=np.float64)
    said = OPTIMAL if status == highspy.HighsModelStatus.kOptimal else FEASIBLE
    return Solution(x, np.zeros(arrays.matrix.shape[0]), float(arrays.cost @ x + arrays.offset), said, float("nan"), run_s)


def nothing(status: str, run_s: float) -> Solution:
    return Solution(np.zeros(0), np.zeros(0), float("nan"), status, float("nan"), run_s)


def must(status: highspy.HighsStatus) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolveError("HiGHS refused the program")
