"""Every contract on offer, solved again by other solvers, its whole numbers held; and whole numbers found by rounding are the best ones."""

from __future__ import annotations

import numpy as np
import pytest

from optimizer.lp.arrays import Arrays, Rows
from optimizer.lp.certificate import slip
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.power import Power
from optimizer.planning.plan import program_of
from optimizer.solve import Session, check
from optimizer.solve.highs import branch_and_bound
from optimizer.solve.integer_rounding import GAP, best_rounding, proved_optimal, with_fixed_integers
from optimizer.solve.lexicographic import INFEASIBLE, OPTIMAL, last_stage
from tests.optimizer.contracts import OFFERED
from tests.optimizer.laws.test_program_at_most_pay import drawn


def program(kind: str, seed: int):
    """The contract in a market of its own, beside hashing and power."""
    _, case, _ = drawn(kind, seed)
    have = {o.type for o in case.book}
    where, book, ahead, state, available = case.inputs
    return program_of(where, (*(o for o in (Hashing(), Power()) if o.type not in have), *book), ahead, state, available)


@pytest.mark.parametrize("kind", OFFERED)
def test_other_solvers_agree(kind):
    for seed in (3, 4):
        found = check(program(kind, seed))
        assert found["agree"], (kind, seed, found)


@pytest.mark.parametrize("kind", OFFERED)
def test_integers_are_integral_and_optimal(kind):
    """Rounded from the relaxation or branched: against HiGHS' own branch and bound from nothing."""
    for seed in range(5, 11):
        arrays, solution = last_stage(program(kind, seed), Session())
        if not arrays.integer.any():
            continue
        assert np.abs(solution.x[arrays.integer] - np.round(solution.x[arrays.integer])).max() == 0.0
        assert slip(arrays, solution.x) <= 1e-6
        best = branch_and_bound(arrays, None, 60.0)
        assert best.status == OPTIMAL
        assert solution.objective == pytest.approx(best.objective, rel=2.5 * GAP, abs=2.5 * GAP)


def knapsack(worth, weigh, room: float) -> Arrays:
    """Most worth of whole things within the room."""
    n = len(worth)
    matrix = Rows(np.array([0, n], dtype=np.int32), np.arange(n, dtype=np.int32), np.asarray(weigh, dtype=float), (1, n))
    low = np.zeros(n)
    return Arrays(
        -np.asarray(worth, dtype=float), 0.0, low, low + 1.0, np.ones(n, dtype=bool), matrix, np.array([-np.inf]), np.array([room])
    )


def test_rounding_reports_when_it_has_proved_nothing():
    a = knapsack([10.5, 7.0, 6.0], [5.0, 4.0, 3.0], 7.0)
    best, relaxed, _ = best_rounding(Session().run, a, 10.0)
    assert best is not None and best.objective == -10.5
    assert not proved_optimal(best, relaxed)
    solved = Session().run(a)
    np.testing.assert_array_equal(solved.x, [0.0, 1.0, 1.0])
    assert (solved.objective, solved.status) == (-13.0, OPTIMAL)


def test_an_integral_relaxation_is_the_answer():
    a = knapsack([10.0, 7.0, 6.0], [5.0, 4.0, 3.0], 8.0)
    best, relaxed, _ = best_rounding(Session().run, a, 10.0)
    assert proved_optimal(best, relaxed)
    np.testing.assert_array_equal(best.x, [1.0, 0.0, 1.0])


def test_an_integer_program_without_a_solution_is_infeasible():
    a = knapsack([1.0, 1.0], [2.0, 2.0], 3.0)
    nowhere = Arrays(a.cost, 0.0, a.lower, a.upper, a.integer, a.matrix, np.array([3.0]), np.array([3.0]))
    assert Session().run(nowhere).status == INFEASIBLE


def test_fixed_integers_leave_a_linear_program():
    a = knapsack([10.0, 7.0, 6.0], [5.0, 4.0, 3.0], 7.0)
    held = with_fixed_integers(a, np.array([1e-9, 1.0 - 1e-9, 1.0]))
    assert not held.integer.any()
    np.testing.assert_array_equal(held.lower, held.upper)
    assert Session().run(held).objective == -13.0
