"""A Session detects and repairs the wrong answers that solvers were seen to give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimizer.lp.arrays import Arrays, Rows
from optimizer.solve import Session
from optimizer.solve.highs import NO_ANSWER
from optimizer.solve.lexicographic import INFEASIBLE, OPTIMAL, SolveError
from tests.optimizer.solve.test_solve import program


def two_rows(first: float = 2.0, second: float = 3.0) -> Arrays:
    """Most of 2 x where x <= 2 and x <= 3."""
    matrix = Rows(np.array([0, 1, 2], dtype=np.int32), np.zeros(2, dtype=np.int32), np.ones(2), (2, 1))
    wide = np.array([-np.inf, -np.inf])
    upper = np.array([np.inf])
    return Arrays(np.array([-2.0]), 0.0, np.zeros(1), upper, np.zeros(1, dtype=bool), matrix, wide, np.array([first, second]))


class FalseAnswers(Session):
    """A session whose first answer is falsified; it records how each run was started, as (warm, safe)."""

    def __init__(self, falsify) -> None:
        super().__init__()
        self.runs = []
        self._falsify = falsify

    def _once(self, arrays, budget_s, warm, safe):
        self.runs.append((warm, safe))
        answer = super()._once(arrays, budget_s, warm, safe)
        return self._falsify(arrays, answer) if len(self.runs) == 1 or self._falsify is always_too_costly else answer


def too_costly(arrays, answer):
    """An answer that keeps every row and claims to be optimal, but costs too much."""
    return replace(answer, x=arrays.lower.copy(), gap=2e-7)


def always_too_costly(arrays, answer):
    return too_costly(arrays, answer)


def test_a_dual_is_dollars_for_a_unit_of_the_row_upper_bound_in_every_run():
    """PuLP's own sign turns with its version and its solver; ours is one."""
    session = Session()
    np.testing.assert_allclose(session.run(two_rows()).dual, [2.0, 0.0])
    np.testing.assert_allclose(session.run(two_rows(first=4.0)).dual, [0.0, 2.0])  # warm start
    np.testing.assert_allclose(session._once(two_rows(), 1e6, warm=False, safe=True).dual, [2.0, 0.0])


def test_a_wrong_optimum_is_solved_again_from_scratch():
    a = program(3).arrays()
    session = FalseAnswers(too_costly)
    assert session.run(a).objective == pytest.approx(Session().run(a).objective, rel=1e-9)
    assert session.runs == [(False, False), (False, True)]


def test_a_solution_that_fails_its_certificate_twice_is_refused():
    with pytest.raises(SolveError, match="certificate"):
        FalseAnswers(always_too_costly).run(program(3).arrays())


def test_a_run_without_an_answer_is_solved_again_from_scratch():
    a = program(3).arrays()
    session = FalseAnswers(lambda _, answer: replace(answer, status=NO_ANSWER, x=np.zeros(0), dual=np.zeros(0)))
    assert session.run(a).status == OPTIMAL
    assert session.runs == [(False, False), (False, True)]


def test_infeasible_from_a_warm_start_is_solved_again_from_scratch():
    a = program(3).arrays()
    session = FalseAnswers(lambda _, answer: answer)
    session.run(a)
    session._falsify = lambda _, answer: replace(answer, status=INFEASIBLE)
    session.runs.clear()
    assert session.run(replace(a, cost=a.cost * 1.01)).status == OPTIMAL
    assert session.runs == [(True, False), (False, True)]


def test_a_changed_matrix_is_loaded_again():
    session = Session()
    a = program(3).arrays()
    session.run(a)
    doubled = replace(a, matrix=replace(a.matrix, data=a.matrix.data * 2.0))
    assert session.run(doubled).objective == pytest.approx(Session().run(doubled).objective, rel=1e-9)


def resident_kb() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize(
    "rounds", [pytest.param(300, marks=pytest.mark.slow(sample="only")), pytest.param(3000, marks=pytest.mark.slow)], ids=["sample", "all"]
)
def test_three_thousand_solves_in_one_session(rounds):
    """Costs of ten sizes, sometimes other bounds: every objective as from nothing, and the process does not grow."""
    session, base, rng = Session(), program(3).arrays(), np.random.default_rng(0)
    warm = rounds // 5
    for k in range(rounds):
        now = replace(base, cost=base.cost * rng.uniform(1.0 - 0.05 * (k % 10), 1.2, len(base.cost)))
        if k % 7 == 0:
            now = replace(now, upper=np.where(np.isfinite(now.upper), now.upper * rng.uniform(0.9, 1.0), now.upper))
        if k == warm:
            before_kb = resident_kb()
        assert session.run(now).objective == pytest.approx(Session().run(now).objective, rel=1e-9)
    assert resident_kb() - before_kb < 6_000


def test_row_bounds_beyond_reach_change_nothing():
    """A side that no columns reach never binds: the same answer, the same prices, and any basis is dual feasible."""
    a = program(3).arrays()
    boxed, rng = a.boxed(), np.random.default_rng(1)
    assert np.isfinite(boxed.row_lower).all() and np.isfinite(boxed.row_upper).all()
    for _ in range(50):
        activity = a.matrix.times(rng.uniform(a.lower, a.upper))
        assert (np.isfinite(a.row_lower) | (activity > boxed.row_lower + 0.5)).all()
        assert (np.isfinite(a.row_upper) | (activity < boxed.row_upper - 0.5)).all()
    plain, closed = Session()._once(a, 1e6, warm=False, safe=True), Session().run(a)
    assert closed.objective == pytest.approx(plain.objective, rel=1e-12)
    open_ended = replace(a, upper=np.where(np.arange(len(a.upper)) == 0, np.inf, a.upper))
    touched = np.add.reduceat(a.matrix.indices == 0, a.matrix.indptr[:-1]) > 0
    assert np.isinf(open_ended.boxed().row_upper[touched] - open_ended.boxed().row_lower[touched]).any()
    assert Session().run(open_ended).status == OPTIMAL
