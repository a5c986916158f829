"""Other solvers as a check: the program in PuLP (named LP and MPS files, CBC), and in scipy's own HiGHS.

PuLP and scipy.optimize are imported where they are used: making a plan needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizer.lp.arrays import Arrays, Named
from optimizer.lp.program import Program
from optimizer.solve.integer_rounding import GAP, with_fixed_integers
from optimizer.solve.lexicographic import NO_LIMIT_S, SolveError, Solver, last_stage
from optimizer.solve.session import Session

if TYPE_CHECKING:
    import pulp

# Dollars by which any two solvers may differ, and the share of the money moved that each one's own tolerances may shift (feasibility and
# optimality 1e-7 for HiGHS; CBC reads numbers of twelve digits as well).
ABSOLUTE_USD = 1e-3
RELATIVE = {"highs": 0.0, "scipy": 1e-7, "cbc": 1e-6, "plan": 1e-8, "scipy_integers": 1e-7}
# An integer answer is within its gap of the best, the plan's and the other solver's.
INTEGER_GAPS = 2.0
# Our own certificate: primal and dual sums.
CERTIFIED = 1e-9
# Seconds that scipy may search for integers.
SEARCH_S = 30.0
# PuLP's own limit on names in LP files.
MAX_NAME_LENGTH = 255


def to_pulp(program: Program, arrays: Arrays | None = None) -> pulp.LpProblem:
    """The program as a PuLP problem, every column and row named after its block and the start of its interval: for auditors, CBC and any
    solver PuLP knows. `arrays` are used instead of the program's own, for example those of a later stage."""
    import pulp

    a = arrays or program.arrays()
    problem = pulp.LpProblem("loadstone", pulp.LpMinimize)
    names = _names(program.columns_of(a), program)
    columns = [
        problem.add_variable(name, _side(low), _side(high), pulp.LpInteger if integer else pulp.LpContinuous)
        for name, low, high, integer in zip(names, a.lower, a.upper, a.integer, strict=True)
    ]
    priced = np.flatnonzero(a.cost)
    # PuLP's files leave out the constant of an objective; a column fixed at one keeps it.
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
    """Writes the model that is solved, as MPS when `file` ends in .mps, else as LP. Raises OSError, and SolveError when nothing keeps the
    site's limits."""
    arrays, _ = last_stage(program, Session())
    problem = to_pulp(program, arrays)
    if file.lower().endswith(".mps"):
        problem.writeMPS(file)
    else:
        problem.writeLP(file, max_length=MAX_NAME_LENGTH)


def solve_cbc(program: Program, arrays: Arrays | None = None) -> float:
    """The objective that CBC finds for the program as PuLP states it. Raises SolveError."""
    import pulp

    problem = to_pulp(program, arrays)
    problem.solve(pulp.PULP_CBC_CMD(msg=False, threads=1, gapRel=1e-9))
    if pulp.LpStatus[problem.status] != "Optimal":
        raise SolveError(f"CBC ended with {pulp.LpStatus[problem.status]}")
    return float(pulp.value(problem.objective))


def solve_scipy(arrays: Arrays) -> float:
    """The objective that `scipy.optimize.linprog` finds: another build of HiGHS, given the rows as equations and one-sided inequalities.
    Raises SolveError."""
    import scipy.optimize
    import scipy.sparse

    m, low, high = arrays.matrix, arrays.row_lower, arrays.row_upper
    matrix = scipy.sparse.csr_matrix((m.data, m.indices, m.indptr), shape=m.shape)
    same = low == high
    most, least = np.isfinite(high) & ~same, np.isfinite(low) & ~same
    found = scipy.optimize.linprog(
        arrays.cost,
        A_ub=scipy.sparse.vstack([matrix[most], -matrix[least]], format="csr"),
        b_ub=np.concatenate([high[most], -low[least]]),
        A_eq=matrix[same],
        b_eq=high[same],
        bounds=np.column_stack([arrays.lower, arrays.upper]),
        integrality=arrays.integer.astype(np.int64) if arrays.integer.any() else None,
        method="highs",
        options={"mip_rel_gap": GAP, "time_limit": SEARCH_S} if arrays.integer.any() else {},
    )
    if not found.success:
        raise SolveError(f"scipy ended with {found.message}")
    return float(found.fun + arrays.offset)


def check(program: Program, solver: Solver | None = None) -> dict[str, Any]:
    """The program solved again by HiGHS, scipy and CBC with integers fixed at the plan's values, and by scipy with integers free:

    objectives       by solver; "plan" is the one before integers were fixed
    differences      from HiGHS, relative to 1 + |objective|
    allowed          the most each may differ, in the same unit: its own tolerance on the money moved, and the gap of integers
    errors           by solver: why it found none; it is then not compared
    optimality_gap   of our own certificate
    agree            whether no difference is more than allowed, and another solver answered

    `solver` makes the plan, HiGHS by default."""
    solver = solver or Session()
    arrays, solution = last_stage(program, solver)
    linear = with_fixed_integers(arrays, solution.x) if arrays.integer.any() else arrays
    again = solver.run(linear, NO_LIMIT_S)
    others: dict[str, Callable[[], float]] = {"scipy": lambda: solve_scipy(linear), "cbc": lambda: solve_cbc(program, linear)}
    if arrays.integer.any():
        others["scipy_integers"] = lambda: solve_scipy(arrays)
    objectives, errors = {"highs": again.objective}, {}
    for name, run in others.items():
        try:
            objectives[name] = run()
        except SolveError as fault:
            errors[name] = str(fault)
    objectives["plan"] = solution.objective
    size = 1.0 + abs(again.objective)
    differences = {name: abs(value - again.objective) / size for name, value in objectives.items()}
    # Net is a small difference of large sums: tolerances act on what is added up, not on the net.
    moved = float(np.abs(linear.cost * again.x).sum()) + size
    gap = GAP if arrays.integer.any() else 0.0
    allowed = {
        name: (ABSOLUTE_USD + RELATIVE[name] * moved) / size + (INTEGER_GAPS * gap if name in ("plan", "scipy_integers") else 0.0)
        for name in objectives
    }
    agree = all(differences[name] <= allowed[name] for name in objectives) and again.gap <= CERTIFIED and len(errors) < len(others)
    found = {"objectives": objectives, "differences": differences, "allowed": allowed, "errors": errors}
    return {**found, "optimality_gap": again.gap, "agree": agree}


def _names(blocks: Sequence[Named], program: Program) -> list[str]:
    """Names of block and interval, in the characters that LP and MPS files allow, each one unique."""
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
