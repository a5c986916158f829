"""Every known trap of solvers and horizons with the test that guards against it; tests found nowhere else are
here."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from markets.series import Series
from optimizer.domain.site import Hall
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.plan import plan, program_of
from optimizer.solve import Session
from optimizer.solve.lexicographic import NO_LIMIT_S
from tests.optimizer import fixtures
from tests.rule_cases import with_market_rules

GUARDED_BY = {
    "1 a dual's sign turns with PuLP's version and its solver": (
        "planning.test_traps.test_a_dual_is_dollars_for_a_unit_of_the_row_upper_bound_in_every_run"
    ),
    "1 PuLP has no range rows; names are one each": "solve.test_solve.test_row_and_column_names_are_unique",
    "3 the time limit adds up over the runs of one object": "solve.test_solve.test_the_time_limit_starts_again_with_each_run",
    "3 a warm start that ends at too high a cost": "planning.test_traps.test_a_wrong_optimum_is_solved_again_from_scratch",
    "3 a wrong solution twice": "planning.test_traps.test_a_solution_that_fails_its_certificate_twice_is_refused",
    "3 thousands of solves in one session": "planning.test_traps.test_three_thousand_solves_in_one_session",
    "3 warm and cold starts": "solve.test_solve.test_warm_and_cold_starts_end_at_the_same_plan",
    "4 aggregation is exact": "lp.test_cohorts.test_thirty_groups_as_three",
    "4 merit order is exact where nothing couples": (
        "laws.test_second_formulation.test_where_nothing_couples_the_hours_merit_order_is_exact_with_reserve"
    ),
    "7 duals of single intervals are not unique": "laws.test_traps.test_what_a_limit_is_worth_in_an_hour_is_one_number",
    "7 a limit's worth is what one more megawatt earns": "planning.test_plan.test_one_more_megawatt_is_worth_its_shadow_price",
    "7 an irreducible set may be empty: slack says the megawatts": (
        "domain.test_calls.test_a_target_is_a_floor_too_and_physics_names_what_is_missing"
    ),
    "7 infeasible from a warm start": ("planning.test_traps.test_infeasible_from_a_warm_start_is_solved_again_from_scratch"),
    "7 infeasible by rounding of what was settled": "laws.test_order.test_deployed_instructions_come_first",
    "8 the same inputs, the same bytes": "planning.test_plan.test_the_same_inputs_give_the_same_bytes",
    "8 presolve, scaling and perturbation move groups": "laws.test_traps.test_however_it_is_solved_the_same_rigs_run",
    "8 a plan an interval later moves nothing": "planning.test_plan.test_a_replan_an_interval_later_moves_nothing",
    "8 hours are the calendar's, not the window's": "laws.test_traps.test_a_tie_is_broken_alike_wherever_the_horizon_ends",
    "9 five thousand, minus 251, a billion": "laws.test_traps.test_no_price_is_too_high",
    "9 a number that is not one": "solve.test_solve.test_a_nan_or_infinity_never_reaches_a_solver",
    "9 an infinite price": "laws.test_traps.test_a_price_that_is_not_a_number_is_a_gap",
    "9 an optimal that does not keep its rows": "solve.test_solve.test_the_certificate_rejects_a_solution_that_is_not_optimal",
}
BOOK = (Hashing(pool_fee=0.01), Power(adders_usd_per_mwh=6.15), Plant())


@pytest.mark.parametrize("trap", GUARDED_BY)
def test_each_trap_has_a_test(trap):
    module, _, name = GUARDED_BY[trap].rpartition(".")
    assert callable(getattr(import_module(f"tests.optimizer.{module}"), name))


def twins():
    """Nine groups, each three alike but for their hall, and limits that bind: many plans earn the same."""
    groups = [fixtures.group(f"{m}-{h}", m, rigs=700, hall=h, min_on_min=45, min_off_min=45) for m in fixtures.MODELS for h in "abc"]
    halls = tuple(Hall(name=h, meter="main", limit_mw=5.0, max_starts_per_min=50) for h in "abc")
    return fixtures.site(*groups, interconnect_mw=11.0, halls=halls)


def services():
    return with_market_rules(Ancillary(products=("ECRS", "NSPIN"), qualified_mw={"ECRS": 6.0, "NSPIN": 4.0})), Transmission(
        method="4cp", usd_per_kw_year=42.0
    )


def with_services(over, seed):
    rng = np.random.default_rng(seed)
    n = len(over)
    reserve = {p: Series(over, np.round(rng.exponential(12, n), 2), "usd_per_mw_h") for p in ("ECRS", "NSPIN")}
    peaks = {15: Series(over, np.where(rng.random(n) < 0.2, 0.01, 0.0), "share")}
    return replace(fixtures.outlook(fixtures.random_prices(rng, n), over), reserve=reserve, peak_share=peaks)


def both_ways(program):
    """One program without presolve, scaling and perturbation, and with all of them."""
    arrays = program.arrays()
    return tuple(Session()._once(arrays, NO_LIMIT_S, warm=False, safe=safe) for safe in (False, True))


@pytest.mark.parametrize("seed", range(6))
def test_however_it_is_solved_the_same_rigs_run(seed):
    program = program_of(twins(), (*BOOK, *services()), with_services(fixtures.grid(32), seed), fixtures.so_far())
    quick, safe = both_ways(program)
    assert quick.objective == pytest.approx(safe.objective, rel=1e-9)
    a, b = program.counted(quick.x), program.counted(safe.x)
    for group, modes in a.items():
        for mode, rigs in modes.items():
            np.testing.assert_allclose(rigs, b[group][mode], atol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_limit_is_worth_in_an_hour_is_one_number(seed):
    """Duals of single quarter hours may differ from solver to solver; their sums over the clock's hours do not."""
    over = fixtures.grid(32)
    program = program_of(fixtures.three_models(interconnect_mw=7.0), (*BOOK, *services()), with_services(over, seed), fixtures.so_far())
    sums = []
    for found in both_ways(program):
        rows = next(r for r in program.rows if r.name == "interconnect")
        worth = np.zeros(len(over))
        worth[rows.at] = found.dual[rows.first : rows.first + rows.size]
        sums.append(worth.reshape(-1, 4).sum(axis=1))
    np.testing.assert_allclose(sums[0], sums[1], atol=1e-6)


def test_a_tie_is_broken_alike_wherever_the_horizon_ends():
    """The same hours seen over eight hours and over twelve: not a rig runs in another group."""
    over = fixtures.grid(48)
    short = fixtures.grid(32)
    price = np.full(48, 40.0)
    still = [g.model_copy(update={"min_on_min": 0.0, "min_off_min": 0.0}) for g in twins().groups]
    where = twins().model_copy(update={"groups": tuple(still)})
    long, brief = (plan(where, BOOK, fixtures.outlook(price[: len(g)], g), fixtures.so_far()) for g in (over, short))
    for name in long.groups:
        np.testing.assert_allclose(long.groups[name].load_mw[:32], brief.groups[name].load_mw, atol=1e-6)


@pytest.mark.parametrize("spike", [5000.0, 1e9, 1e20, -251.0, -1e9, -1e20])
def test_no_price_is_too_high(spike):
    """One hour of it: all rigs there sleep, or run, and the other hours are planned as ever."""
    price = fixtures.random_prices(np.random.default_rng(4), 32)
    wild = price.copy()
    wild[8:12] = spike
    calm = plan(fixtures.three_models(), BOOK, fixtures.outlook(price), fixtures.so_far())
    made = plan(fixtures.three_models(), BOOK, fixtures.outlook(wild), fixtures.so_far())
    np.testing.assert_allclose(made.load_mw[8:12], 0.0 if spike > 0 else 9.578, atol=1e-6)
    others = np.r_[0:8, 12:32]
    np.testing.assert_allclose(made.load_mw[others], calm.load_mw[others], atol=1e-6)
    assert made.solve.status in ("optimal", "merit order")


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_price_that_is_not_a_number_is_a_gap(bad):
    price = np.array([30.0, bad, 200.0, 30.0])
    made = plan(fixtures.three_models(), BOOK, fixtures.outlook(price), fixtures.so_far())
    np.testing.assert_array_equal(made.prices[fixtures.POINT], [30.0, 30.0, 200.0, 30.0])
    assert made.solve.status == "optimal"
    assert made.findings
