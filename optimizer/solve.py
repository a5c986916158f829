"""The exits of a Program: a HiGHS session (hot), PuLP (named LP and MPS files, CBC), scipy. The only file that knows a solver.

PuLP and scipy.optimize are imported where they are used: a plan in a hurry needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np

from optimizer.arrays import Arrays, Named
from optimizer.certificate import SLIP, certificate, slip
from optimizer.expr import Floats
from optimizer.program import Program
from optimizer.stages import ANSWERED, FEASIBLE, INFEASIBLE, NO_LIMIT_S, OPTIMAL, Solution, SolveError, last_stage

if TYPE_CHECKING:
    import pulp

# The relative gap between a solution's two objectives above which it is solved again from nothing, and above which it is refused.
DOUBT, GAP = 1e-9, 1e-7
# Told before the first run. Costs are not perturbed: the program's own tie-breaks do that, the same way each time.
OPTIONS = {"solver": "simplex", "threads": 1, "simplex_strategy": 1, "mip_rel_gap": 1e-6}
QUICK = {"presolve": "off", "dual_simplex_cost_perturbation_multiplier": 0.0}
SAFE = {"presolve": "on", "dual_simplex_cost_perturbation_multiplier": 1.0}
# Steps a row or column, at most, before a quick run counts as lost.
MOST_STEPS = 20
# A quick run that went in circles.
LOST = "lost"
# PuLP's own limit on names in LP files.
MOST_NAME = 255


class Session:
    """A HiGHS object kept warm: the same matrix again only changes costs and bounds."""

    def __init__(self) -> None:
        self._highs: Any = None
        self._held: Arrays | None = None

    def run(self, arrays: Arrays, budget_s: float = NO_LIMIT_S) -> Solution:
        """Minimises. An answer that its certificate doubts, a hot "infeasible" and a run that lost its way are solved again from nothing.
        Raises SolveError."""
        if not arrays.finite:
            raise SolveError("the program holds a number that is not finite")
        if arrays.integer.any():
            return self._believed(arrays, self._once(arrays, budget_s, hot=False, safe=True), DOUBT)
        hot = self._held is not None and _same_shape(self._held, arrays)
        solution = self._once(arrays, budget_s, hot, safe=False)
        if solution.status == LOST or (hot and solution.status == INFEASIBLE) or not _holds(arrays, solution, DOUBT):
            left_s = budget_s - solution.run_s
            solution = self._believed(arrays, self._once(arrays, left_s, hot=False, safe=True), GAP)
        return solution

    def _believed(self, arrays: Arrays, solution: Solution, gap: float) -> Solution:
        if solution.status == LOST or not _holds(arrays, solution, gap):
            self._held = None
            raise SolveError(f"the certificate refuses the solution, gap {solution.gap:.1e}")
        return solution

    def _once(self, arrays: Arrays, budget_s: float, hot: bool, safe: bool) -> Solution:
        highs = self._update(arrays) if hot and self._highs is not None else self._load(arrays)
        before = highs.getRunTime()
        for option, value in (SAFE if safe else QUICK).items():
            _must(highs.setOptionValue(option, value))
        # HiGHS adds up the time of every run of one object (OPTIMIZER 3).
        _must(highs.setOptionValue("time_limit", before + max(0.0, budget_s)))
        _must(highs.setOptionValue("simplex_iteration_limit", 2**31 - 1 if safe else MOST_STEPS * sum(arrays.matrix.shape) + 1000))
        if highs.run() == highspy.HighsStatus.kError:
            self._held = None
            raise SolveError("HiGHS ended with an error")
        run_s = highs.getRunTime() - before
        status = highs.getModelStatus()
        if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            return _nothing(INFEASIBLE, run_s)
        if status == highspy.HighsModelStatus.kOptimal:
            return self._read(highs, arrays, run_s, OPTIMAL)
        if status == highspy.HighsModelStatus.kIterationLimit and not safe:
            self._held = None
            return _nothing(LOST, run_s)
        if arrays.integer.any() and highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
            return self._read(highs, arrays, run_s, FEASIBLE)
        self._held = None
        raise SolveError(f"HiGHS ended with {highs.modelStatusToString(status)}")

    def _read(self, highs: Any, arrays: Arrays, run_s: float, status: str) -> Solution:
        found, info = highs.getSolution(), highs.getInfo()
        x = np.asarray(found.col_value, dtype=np.float64)
        objective = float(arrays.cost @ x + arrays.offset)
        if arrays.integer.any():
            dual = self._dual_with_integers_fixed(arrays, x)
            return Solution(x, dual, objective, status, float("nan"), run_s, int(info.simplex_iteration_count))
        dual = -np.asarray(found.row_dual, dtype=np.float64)
        return Solution(x, dual, objective, status, certificate(arrays, x, dual), run_s, int(info.simplex_iteration_count))

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
            for option, value in OPTIONS.items():
                _must(self._highs.setOptionValue(option, value))
        highs, m = self._highs, a.matrix
        rows, cols = m.shape
        sizes = (cols, rows, m.nnz, int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize), float(a.offset))
        vectors = (a.cost, a.lower, a.upper, a.row_lower, a.row_upper)
        _must(highs.passModel(*sizes, *vectors, m.indptr, m.indices, m.data, a.integer.astype(np.int32)))
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


def _holds(arrays: Arrays, solution: Solution, gap: float) -> bool:
    """Whether our own sums bear a solution out; with whole numbers, that it keeps every row."""
    if solution.status not in ANSWERED:
        return True
    if not np.isfinite(solution.x).all():
        return False
    return slip(arrays, solution.x) <= SLIP if arrays.integer.any() else solution.gap <= gap


def _same_shape(held: Arrays, a: Arrays) -> bool:
    return held.matrix.like(a.matrix) and np.array_equal(held.integer, a.integer)


def _nothing(status: str, run_s: float) -> Solution:
    return Solution(np.zeros(0), np.zeros(0), float("nan"), status, float("nan"), run_s, 0)


def _must(status: highspy.HighsStatus) -> None:
    if status == highspy.HighsStatus.kError:
        raise SolveError("HiGHS refused the program")


def to_pulp(program: Program, arrays: Arrays | None = None) -> pulp.LpProblem:
    """The program as a PuLP problem, every column and row named after its block and the start of its interval: for auditors, CBC and any
    solver PuLP knows. `arrays` stand in for the program's own, for example those of a later stage."""
    import pulp

    a = arrays or program.arrays()
    problem = pulp.LpProblem("loadstone", pulp.LpMinimize)
    names = _names(program.columns_of(a), program)
    columns = [
        problem.add_variable(name, _side(low), _side(high), pulp.LpInteger if whole else pulp.LpContinuous)
        for name, low, high, whole in zip(names, a.lower, a.upper, a.integer, strict=True)
    ]
    priced = np.flatnonzero(a.cost)
    # PuLP's files leave an objective's constant out; as a column that is one it stays.
    one = problem.add_variable("constant", 1.0, 1.0)
    problem.setObjective(pulp.LpAffineExpression([*((columns[j], float(a.cost[j])) for j in priced), (one, float(a.offset))]))
    rows = _names(program.rows, program)
    rows += [f"settled_{i}" for i in range(len(a.row_lower) - len(rows))]
    m = a.matrix
    for i, name in enumerate(rows):
        inside = slice(m.indptr[i], m.indptr[i + 1])
        row = pulp.LpAffineExpression([(columns[j], float(v)) for j, v in zip(m.indices[inside], m.data[inside], strict=True)])
        low, high = _side(a.row_lower[i]), _side(a.row_upper[i])
        if low is not None and low == high:
            problem += (row == low), name
            continue
        if high is not None:
            problem += (row <= high), name if low is None else f"{name}_most"
        if low is not None:
            problem += (row >= low), name if high is None else f"{name}_least"
    return problem


def write_model(program: Program, file: str) -> None:
    """The model that is solved, as MPS when `file` ends so, else as LP. Raises OSError; SolveError when nothing keeps the limits."""
    arrays, _ = last_stage(program, Session())
    problem = to_pulp(program, arrays)
    if file.lower().endswith(".mps"):
        problem.writeMPS(file)
    else:
        problem.writeLP(file, max_length=MOST_NAME)


def solve_cbc(program: Program, arrays: Arrays | None = None) -> float:
    """The objective CBC finds, a second solver by a second way in. Raises SolveError."""
    import pulp

    problem = to_pulp(program, arrays)
    problem.solve(pulp.PULP_CBC_CMD(msg=False, threads=1, gapRel=1e-9))
    if pulp.LpStatus[problem.status] != "Optimal":
        raise SolveError(f"CBC ended with {pulp.LpStatus[problem.status]}")
    return float(pulp.value(problem.objective))


def solve_scipy(arrays: Arrays) -> float:
    """The objective scipy's own HiGHS, of another version, finds. Raises SolveError."""
    import scipy.optimize
    import scipy.sparse

    m = arrays.matrix
    matrix = scipy.sparse.csr_matrix((m.data, m.indices, m.indptr), shape=m.shape)
    bounds = scipy.optimize.Bounds(arrays.lower, arrays.upper)
    rows = scipy.optimize.LinearConstraint(matrix, arrays.row_lower, arrays.row_upper)
    options = {"presolve": True, "mip_rel_gap": 1e-9}
    constraints = [rows] if len(arrays.row_lower) else []
    found = scipy.optimize.milp(arrays.cost, bounds=bounds, constraints=constraints, integrality=arrays.integer, options=options)
    if not found.success:
        raise SolveError(f"scipy ended with {found.message}")
    return float(found.fun + arrays.offset)


def check(program: Program) -> dict[str, Any]:
    """The program solved by HiGHS, scipy and CBC: their objectives, relative differences, our own certificate, and whether all agree."""
    arrays, solution = last_stage(program, Session())
    objectives = {"highs": solution.objective, "scipy": solve_scipy(arrays), "cbc": solve_cbc(program, arrays)}
    size = 1.0 + abs(solution.objective)
    differences = {name: abs(value - solution.objective) / size for name, value in objectives.items()}
    whole = bool(arrays.integer.any())
    allowed = {"highs": 0.0, "scipy": 1e-6 if whole else 1e-9, "cbc": 1e-6 if whole else 1e-8}
    agree = all(differences[name] <= allowed[name] for name in allowed) and (whole or solution.gap <= 1e-9)
    return {"objectives": objectives, "differences": differences, "gap": None if whole else solution.gap, "agree": agree}


def _names(blocks: Sequence[Named], program: Program) -> list[str]:
    """Block and interval, in the letters LP and MPS files allow, each once."""
    labels = [f"{over.start:%Y%m%dT%H%M}" for over in program.grid.intervals]
    names: dict[str, None] = {}
    for block in blocks:
        stem = re.sub(r"[^A-Za-z0-9_.]", "_", block.name)
        for place, t in enumerate(block.at):
            name = f"{stem}_{labels[t]}"
            names[name if name not in names else f"{name}_{block.first + place}"] = None
    return list(names)


def _side(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
