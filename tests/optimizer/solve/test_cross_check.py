"""Every contract on offer, solved again by other solvers, its whole numbers held; and whole numbers found by rounding are the best ones."""

from __future__ import annotations

from dataclasses import replace

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
from optimizer.solve.lexicographic import INFEASIBLE, NO_LIMIT_S, OPTIMAL, last_stage
from tests.optimizer import random_cases
from tests.optimizer.contracts import OFFERED
from tests.optimizer.laws.test_market_day import drawn as market_day
from tests.optimizer.laws.test_monotone import coupled
from tests.optimizer.laws.test_order import drawn as tight
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


def compared(seed: int) -> None:
    """A book that couples hours, has integers, or gives way, at an instant of the market day."""
    case = (market_day(seed)[0], tight(seed), coupled(seed))[seed % 3]
    found = check(program_of(*case.inputs))
    assert found["agree"] and not found["errors"], found


def test_no_plan_is_doubted_without_a_cause():
    random_cases.each(range(12), compared)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_plan_of_two_hundred_is_doubted_without_a_cause():
    random_cases.each(range(200), compared)


class Wrong(Session):
    """A solver that takes the weight of some columns for half as much again, and is honest about the objective of what it found."""

    def run(self, arrays, budget_s=NO_LIMIT_S):
        cost = arrays.cost * np.where(np.arange(len(arrays.cost)) % 3 == 0, 1.5, 1.0)
        found = super().run(replace(arrays, cost=cost), budget_s)
        if found.status != OPTIMAL:
            return found
        return replace(found, objective=float(arrays.cost @ found.x + arrays.offset), gap=0.0)


def test_a_wrong_answer_is_found():
    """Wherever it earns less than the best by more than a cent, whatever the size of the site."""
    wrong = 0
    for seed in range(12):
        program = program_of(*coupled(seed).inputs)
        best, found = check(program)["objectives"]["highs"], check(program, Wrong())
        if found["objectives"]["plan"] > best + max(0.01, 1e-5 * abs(best)):
            wrong += 1
            assert not found["agree"], (seed, best, found)
    assert wrong >= 3, "the planted fault shows in too few plans to be a test"


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
