"""What is decided now, weighed over scenarios: against a search by hand, and what it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from markets import usd_text
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan, program_of
from optimizer.planning.result import Risk
from optimizer.solve import Session
from optimizer.solve.cvar import hedge, side_by_side
from tests.optimizer.fixtures import POINT, Dead, awake, broken_limits, group, outlook, random_prices, site, so_far
from tests.optimizer.planning.test_plan import BOOK, random_site

# Cheap now; later cheap most of the time, and dear in one case of ten.
NOW = [20.0]
ASLEEP = site(group("g", "s21", rigs=1000, min_on_min=60))
PLAIN = (Hashing(), Power(), Plant())
BASE = outlook(NOW + [50.0] * 7)
CASES = [outlook(NOW + ([900.0] * 3 if k == 0 else [30.0] * 3) + [50.0] * 4) for k in range(10)]


def losses(first: float) -> np.ndarray:
    """Of each case when `first` thousand rigs wake now, by solving it alone."""
    out = []
    for case in CASES:
        program = program_of(ASLEEP, PLAIN, case, so_far())
        a = program.arrays()
        lower, upper = a.lower.copy(), a.upper.copy()
        lower[program.awake("g").cols[0, 0]] = upper[program.awake("g").cols[0, 0]] = first
        out.append(Session().run(replace(a, lower=lower, upper=upper)).objective)
    return np.array(out)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_weighed_plan_is_the_best_of_an_exhaustive_search(weight):
    program = program_of(ASLEEP, PLAIN, BASE, so_far())
    weighed = hedge(program, [program_of(ASLEEP, PLAIN, case, so_far()) for case in CASES], weight, Session())
    found = Session().run(side_by_side(program.arrays(), weighed.decided, weighed.costs, weight)).objective
    by_hand = []
    for first in np.linspace(0, 1, 21):
        loss = losses(first)
        by_hand.append((1 - weight) * loss.mean() + weight * loss.max())  # a twentieth of ten cases: the worst one
    assert found == pytest.approx(min(by_hand), rel=1e-6, abs=0.01)


def test_the_worst_case_keeps_rigs_asleep_that_the_mean_would_wake():
    """Woken now they must run through the dear hour."""
    mean = plan(ASLEEP, PLAIN, BASE, so_far(), risk=Risk(0.0, CASES[1:]))
    wary = plan(ASLEEP, PLAIN, BASE, so_far(), risk=Risk(1.0, CASES))
    assert awake(mean, "g")[0] == pytest.approx(1000)
    assert awake(wary, "g")[0] == pytest.approx(0, abs=1e-3)
    assert wary.solve.status == "optimal"
    less = mean.objective_usd - wary.objective_usd
    assert less > 1 and not any("risk" in reason for reason in reasons(plan(ASLEEP, PLAIN, BASE, so_far())))
    (said,) = [reason for reason in reasons(wary) if reason.startswith("risk 1: ")]
    assert f"over {len(CASES)} price scenarios, 100% on the worst 5% of them" in said and said.endswith(f"earns {usd_text(less)} less")


def test_one_scenario_that_is_the_outlook_changes_nothing():
    rng = np.random.default_rng(4)
    where, state = random_site(rng)
    ahead = outlook(random_prices(rng, 24))
    plainly, weighed = plan(where, BOOK, ahead, state), plan(where, BOOK, ahead, state, risk=Risk(0.5, [ahead]))
    assert weighed.objective_usd == pytest.approx(plainly.objective_usd, rel=1e-9)


def test_a_plan_says_what_its_scenarios_leave_out():
    said = reasons(plan(ASLEEP, PLAIN, BASE, so_far(), risk=Risk(1.0, CASES, ("HB is not moved",))))
    assert said.index("HB is not moved") == next(k for k, reason in enumerate(said) if reason.startswith("risk 1: ")) + 1


def test_limits_hold_with_risk_and_without_a_solver():
    rng = np.random.default_rng(5)
    where, state = random_site(rng)
    price = random_prices(rng, 24)
    cases = [outlook(price + np.append(0, rng.normal(0, 40, 23))) for _ in range(20)]
    assert cases[0].energy[POINT].values[0] == price[0]
    made = plan(where, BOOK, outlook(price), state, risk=Risk(0.5, cases))
    assert made.solve.status == "optimal"
    assert broken_limits(where, made, state) == []
    assert plan(where, BOOK, outlook(price), state, session=Dead(), risk=Risk(0.5, cases)).solve.status == "merit order"
