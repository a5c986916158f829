"""Risk: the decisions of now are weighed over price scenarios; later decisions may differ between scenarios.

The programs of all scenarios are solved together. The rigs of the first interval and the reserve that is sold are the same in all of them;
everything else follows each scenario's own prices. The objective is (1 - weight) x the mean loss + weight x the mean of the worst tail
(conditional value at risk in the linear form of Rockafellar and Uryasev).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from markets import counted, usd_text
from optimizer.domain.array_types import Floats
from optimizer.lp.arrays import INF, Arrays, Rows
from optimizer.lp.program import Program
from optimizer.solve.lexicographic import ANSWERED, Solution, SolveError, Solver

# The share of scenarios that counts as the worst.
TAIL = 0.05
# With integers in every scenario, the cost of weighing risk is known only to this share of the objective.
COST_PRECISION = 1e-3


@dataclass(frozen=True, slots=True)
class Hedge:
    """A Solver that first fixes the decisions of now over all scenarios, then lets `solver` solve the rest.

    decided   columns with one value in every scenario
    costs     of each scenario, shape (scenarios, cols)
    weight    0 is the mean alone, 1 the worst tail alone
    """

    solver: Solver
    decided: NDArray[np.bool_]
    costs: Floats
    weight: float

    def run(self, arrays: Arrays, budget_s: float) -> Solution:
        """Arrays with slack are not weighed, because promises come before dollars. Raises SolveError."""
        if arrays.matrix.shape[1] != len(self.decided):
            return self.solver.run(arrays, budget_s)
        many = self.solver.run(side_by_side(arrays, self.decided, self.costs, self.weight), budget_s)
        if many.status not in ANSWERED:
            return self.solver.run(arrays, budget_s - many.run_s)
        lower, upper = arrays.lower.copy(), arrays.upper.copy()
        lower[self.decided] = upper[self.decided] = np.clip(many.x[: int(self.decided.sum())], lower[self.decided], upper[self.decided])
        return self.solver.run(replace(arrays, lower=lower, upper=upper), budget_s - many.run_s)


def hedge(program: Program, scenarios: Sequence[Program], weight: float, solver: Solver) -> Hedge:
    """A Hedge over programs of the same site and book under other prices. Raises SolveError when a scenario's rows differ from the
    program's."""
    base = program.arrays()
    costs = []
    for scenario in scenarios:
        arrays = scenario.arrays()
        if not arrays.matrix.like(base.matrix):
            raise SolveError("a contract has other rows under other prices, so its risk cannot be weighed")
        costs.append(arrays.cost)
    decided = np.zeros(len(base.cost), dtype=bool)
    decided[program.decided_now()] = True
    return Hedge(solver, decided, np.array(costs), weight)


def risk_text(weight: float, scenarios: int, usd: float, of_usd: float) -> str:
    """A sentence that says what weighing the worst scenarios costs at the outlook's own prices; `of_usd` is the objective without risk."""
    earns = f"{usd_text(usd)} less" if usd > COST_PRECISION * of_usd else f"as much, to {COST_PRECISION:.1%}"
    over = counted(scenarios, "price scenario")
    return (
        f"risk {weight:g}: what is decided now is weighed over {over}, {weight:.0%} on the worst {TAIL:.0%} of them; "
        f"at the outlook's own prices that earns {earns}"
    )


def side_by_side(a: Arrays, decided: NDArray[np.bool_], costs: Floats, weight: float) -> Arrays:
    """One program for all scenarios: decided columns first, then each scenario's own, then the value at risk and the losses beyond it."""
    n, own = len(costs), np.flatnonzero(~decided)
    share = (1.0 - weight) / n

    def spread(values: Floats, at_risk: float, beyond: float) -> Floats:
        return np.concatenate([values[decided], np.tile(values[own], n), [at_risk], np.full(n, beyond)])

    cost = spread(np.zeros(len(decided)), weight, weight / (TAIL * n))
    cost[: -n - 1] = np.append(share * costs[:, decided].sum(axis=0), share * costs[:, own])
    return Arrays(
        cost=cost,
        offset=a.offset,
        lower=spread(a.lower, -INF, 0.0),
        upper=spread(a.upper, INF, INF),
        integer=spread(a.integer.astype(np.float64), 0.0, 0.0).astype(bool),
        matrix=_stacked(a.matrix, decided, costs),
        row_lower=np.append(np.tile(a.row_lower, n), np.zeros(n)),
        row_upper=np.append(np.tile(a.row_upper, n), np.full(n, INF)),
    )


def _stacked(m: Rows, decided: NDArray[np.bool_], costs: Floats) -> Rows:
    """The rows of every scenario, then one more for each: value at risk plus the loss beyond it is at least the scenario's loss."""
    n, now, later = len(costs), int(decided.sum()), int((~decided).sum())
    first = np.where(decided, np.cumsum(decided) - 1, now + np.cumsum(~decided) - 1)
    place = [first + np.where(decided, 0, s * later) for s in range(n)]
    width = now + n * later
    losses = [np.append(at, [width, width + 1 + s]) for s, at in enumerate(place)]
    counts = np.append(np.tile(np.diff(m.indptr), n), np.full(n, len(decided) + 2))
    return Rows(
        np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        np.concatenate([*(at[m.indices] for at in place), *losses]).astype(np.int32),
        np.concatenate([np.tile(m.data, n), *(np.append(-cost, [1.0, 1.0]) for cost in costs)]),
        (n * m.shape[0] + n, width + 1 + n),
    )
