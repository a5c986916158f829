"""Whatever fails, a plan is there within a second, keeps every bound, and names what failed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge
from optimizer.lp.arrays import Arrays
from optimizer.lp.program import Program
from optimizer.obligations.block import Block, SellBack
from optimizer.planning.plan import plan, program_of
from optimizer.planning.plan_json import plan_to_json
from optimizer.planning.result import Risk
from optimizer.solve import Session
from optimizer.solve.lexicographic import FEASIBLE, OPTIMAL, Solution, SolveError
from tests.optimizer.fixtures import AT, Dead, awake, broken_limits, call, group, outlook, random_prices, site, so_far
from tests.optimizer.planning.test_plan import BOOK, random_site

HAIRCUT = Block(mw=4, usd_per_mwh=40, sell_back=SellBack(haircut_usd_per_mwh=4, cap_mw=3))


class Broken(Contract):
    """A plug-in that raises where it is told to."""

    type = "broken"
    name: str = "broken"
    where: str

    def _fail(self, where: str) -> None:
        if self.where == where:
            raise ZeroDivisionError(f"in {where}")

    def settles_energy(self, site):
        self._fail("settles_energy")
        return {}

    def bounds(self, site, memory, calls, over):
        self._fail("bounds")
        return super().bounds(site, memory, calls, over)

    def shape(self, program):
        program.column("half of it")
        self._fail("shape")
        super().shape(program)

    def charges(self, its):
        self._fail("charges")
        if not isinstance(its, Program):
            self._fail("numbers")
        yield Charge("fee", its.sum([]) + its.hours, "h", its.during(None) * its.number(-1.0))

    def reasons(self, book, program, path):
        self._fail("reasons")
        return ()

    def shortfalls(self, program, path):
        self._fail("shortfalls")
        return ()


@pytest.mark.parametrize("where", ["settles_energy", "bounds", "shape", "charges", "numbers"])
def test_a_contract_that_raises_is_left_out_and_named(where):
    """Its calls and those of every other contract stand all the same, as far as it can say them."""
    rng = np.random.default_rng(4)
    sited, state = random_site(rng)
    ahead = outlook(random_prices(rng, 48))
    most_mw = 0.4 * sited.interconnect_mw
    # A contract that cannot say its bounds keeps nobody else's call from standing.
    calls = tuple(
        call(name, AT, ahead.grid.intervals[7].end, id_=f"call to {name}", mw_cap=most_mw)
        for name in (("plant", "broken") if where == "bounds" else ("broken",))
    )
    state = replace(state, calls=calls)
    began = time.process_time()
    made = plan(sited, (*BOOK, Broken(where=where)), ahead, state)
    assert time.process_time() - began < 1.0
    assert made.solve.status == "merit order"
    assert any(f.kind == "obligation" and f.text.startswith("broken failed") and where in f.text for f in made.findings)
    assert broken_limits(sited, made, state, minimum_times=False) == []
    assert made.load_mw[:8].max() <= most_mw + 1e-6
    assert not any(name == "broken" for name, _ in made.lines)
    assert ("power", "energy") in made.lines
    assert any("broken failed" in reason for reason in plan_to_json(made)["reasons"])


@pytest.mark.parametrize("where", ["reasons", "shortfalls"])
def test_a_contract_without_words_costs_only_its_words(where):
    rng = np.random.default_rng(4)
    sited, state = random_site(rng)
    made = plan(sited, (*BOOK, Broken(where=where)), outlook(random_prices(rng, 24)), state)
    assert made.solve.status == "optimal"
    assert any("broken" in reason and where in reason for reason in plan_to_json(made)["reasons"])


class Lying:
    """A solver that says optimal of what is told to."""

    def __init__(self, lie) -> None:
        self.lie = lie

    def run(self, arrays: Arrays, budget_s: float) -> Solution:
        return self.lie(Session().run(arrays))


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        (Dead(ValueError), "ValueError"),
        (Dead(KeyError), "KeyError"),
        (Lying(lambda s: replace(s, x=s.x * np.nan)), "does not keep"),
        (Lying(lambda s: replace(s, x=s.x + 1.0)), "does not keep"),
        (Lying(lambda s: replace(s, x=s.x[:-1])), "does not keep"),
        (Lying(lambda s: None), "AttributeError"),
    ],
)
def test_a_solver_that_fails_or_lies_is_not_followed(solver, said):
    rng = np.random.default_rng(6)
    sited, state = random_site(rng)
    made = plan(sited, BOOK, outlook(random_prices(rng, 48)), state, session=solver)
    assert made.solve.status == "merit order"
    assert [f.kind for f in made.findings] == ["solver"]
    assert said in made.findings[0].text
    assert broken_limits(sited, made, state) == []


@pytest.mark.parametrize("deadline_s", [0.0, 0.002, 0.05, 0.5])
@pytest.mark.parametrize("kind", ["linear", "whole", "risk"])
def test_there_is_a_plan_at_any_deadline(kind, deadline_s):
    """Whole numbers and scenarios may not be finished; what keeps every limit is there all the same."""
    rng = np.random.default_rng(7)
    sited, state = random_site(rng)
    price = random_prices(rng, 96)
    cases = [outlook(price + np.append(0, rng.normal(0, 40, 95))) for _ in range(40)] if kind == "risk" else []
    book = (*BOOK, HAIRCUT) if kind == "whole" else BOOK
    began = time.process_time()
    made = plan(
        sited, book, outlook(price), state, deadline_s=deadline_s, risk=Risk(0.4, cases) if cases else None, stopwatch=time.process_time
    )
    assert time.process_time() - began < deadline_s + 1.0
    assert broken_limits(sited, made, state) == []
    assert made.solve.status in ("optimal", "feasible", "merit order")
    if made.solve.status == "merit order":
        assert made.findings


def test_whole_numbers_at_the_deadline_are_the_best_found():
    """The answer in hand when time is up keeps every row; it is not thrown away."""
    program = program_of(*_large(), so_far())
    arrays = program.arrays()
    whole = Session().run(arrays)
    assert whole.status == OPTIMAL
    for share in (0.3, 0.6, 0.9):  # how far a budget reaches is the machine's affair: an answer is held to its word, none is no answer
        try:
            short = Session().run(arrays, budget_s=max(0.01, share * whole.run_s))
        except SolveError as why:
            assert "in time" in str(why)
            continue
        assert short.status in (FEASIBLE, OPTIMAL)
        assert short.objective >= whole.objective - 1e-6 * abs(whole.objective)
        assert np.abs(short.x[arrays.integer] - np.round(short.x[arrays.integer])).max() < 1e-6


def _large():
    rng = np.random.default_rng(3)
    groups = [group(f"g{k}", model, rigs=400, low=True) for k, model in enumerate(("s19jpro", "s19xp", "s21") * 2)]
    groups = [g.model_copy(update={"min_on_min": 45.0 + k}) for k, g in enumerate(groups)]
    return site(*groups, interconnect_mw=5.0), (*BOOK, HAIRCUT), outlook(random_prices(rng, 192))


def test_a_risk_without_time_is_not_weighed_and_said():
    class Clock:
        now_s = 0.0

        def __call__(self) -> float:
            self.now_s += 0.1
            return self.now_s

    sited, state = random_site(np.random.default_rng(7))
    price = random_prices(np.random.default_rng(7), 24)
    made = plan(sited, BOOK, outlook(price), state, deadline_s=1.0, risk=Risk(0.4, [outlook(price)] * 40), stopwatch=Clock())
    assert made.solve.status == "optimal"
    assert [f.kind for f in made.findings] == ["risk"]
    assert "no time" in made.findings[0].text


def test_merit_order_keeps_an_instruction_to_run():
    """A called target is a floor as well: rigs run at a loss when they are told to."""
    sited = site(group("g", "s21", rigs=1000))
    state = so_far(calls=(call("plant", AT, None, mw_target=2.0),))
    made = plan(sited, BOOK, outlook([500.0] * 8), state, session=Dead())
    assert made.solve.status == "merit order"
    np.testing.assert_allclose(made.load_mw, 2.0, atol=1e-6)
    assert awake(made, "g").max() < 600
