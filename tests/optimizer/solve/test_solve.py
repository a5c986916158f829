"""One program, several ways to its optimum: HiGHS hot and cold, scipy, CBC, a plain PuLP statement of our own, and merit order."""

from __future__ import annotations

from dataclasses import replace

import highspy
import numpy as np
import pulp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain.site import SLEEP, Hall, Overhead
from optimizer.lp.certificate import certificate
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.plan import plan, program_of
from optimizer.solve import Session, check, solve_cbc, solve_scipy, to_pulp, write_model
from optimizer.solve.lexicographic import INFEASIBLE, OPTIMAL, SolveError, solve_in_stages
from tests.optimizer.fixtures import POINT, group, outlook, random_prices, site, so_far
from tests.optimizer.planning.test_plan import BOOK, random_site

TIES = 0.05


def program(seed: int = 1, n: int = 48, book=BOOK):
    rng = np.random.default_rng(seed)
    where, state = random_site(rng)
    return program_of(where, book, outlook(random_prices(rng, n)), state)


@pytest.mark.parametrize("seed", range(4))
def test_three_solvers_agree(seed):
    found = check(program(seed))
    assert found["agree"], found
    assert found["optimality_gap"] <= 1e-9


def test_three_solvers_agree_with_integers():
    found = check(program(5, book=(*BOOK, Block(mw=4, usd_per_mwh=40, sell_back=SellBack(haircut_usd_per_mwh=4, cap_mw=3)))))
    assert found["agree"], found


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_a_direct_pulp_formulation_finds_the_same_optimum(seed):
    """Written from the rules, group by group and hour by hour, with names of its own and no line of the product's builder."""
    rng = np.random.default_rng(seed)
    where, state = random_site(rng)
    price = random_prices(rng, 16)
    made = plan(where, BOOK, outlook(price), state)
    lp = pulp.LpProblem("plain", pulp.LpMaximize)
    usd = []
    load = {t: [] for t in range(16)}
    hall_load = {(h.name, t): [] for h in where.halls for t in range(16)}
    starts = {(h.name, t): [] for h in where.halls for t in range(16)}
    for g in where.groups:
        hall = where.hall_of[g.name]
        oh = 1 + hall.overhead.share
        sleep = g.mode(SLEEP)
        now = state.groups[g.name]
        x = {(m.name, t): lp.add_variable(f"{g.name}_{m.name}_{t}".replace("-", "_"), 0, g.rigs) for m in g.modes for t in range(16)}
        st_ = [lp.add_variable(f"up_{g.name}_{t}".replace("-", "_"), 0) for t in range(16)]
        sp_ = [lp.add_variable(f"dn_{g.name}_{t}".replace("-", "_"), 0) for t in range(16)]
        up = [pulp.lpSum(x[m.name, t] for m in g.awake_modes) for t in range(16)]
        for t in range(16):
            lp += up[t] + x[SLEEP, t] == g.rigs
            before = up[t - 1] if t else sum(n for m, n in now.modes.items() if m != SLEEP)
            lp += up[t] - before == st_[t] - sp_[t]
            mw = pulp.lpSum(x[m.name, t] * (m.watts / 1e6 * oh) for m in g.modes)
            load[t].append(mw)
            hall_load[hall.name, t].append(mw)
            starts[hall.name, t].append(st_[t])
            ph = pulp.lpSum(x[m.name, t] * (m.ths / 1e3) for m in g.modes)
            usd.append(ph * (45 * 0.99 / 96) - mw * (1.02 * 0.25 * (price[t] + 6.15)) - st_[t] * g.wear_usd_per_start)
            woken = sum(n for _, n in now.woken) if 15 * t < g.min_on_min - 5 else 0
            lp += pulp.lpSum(st_[s] for s in range(t + 1) if 15 * (t - s) < g.min_on_min) + woken <= up[t]
            slept = sum(n for _, n in now.slept) if 15 * t < g.min_off_min - 7 else 0
            lp += pulp.lpSum(sp_[s] for s in range(t + 1) if 15 * (t - s) < g.min_off_min) + slept <= x[SLEEP, t]
        assert sleep.ths == 0
    for t in range(16):
        lp += pulp.lpSum(load[t]) <= where.interconnect_mw
        for h in where.halls:
            lp += pulp.lpSum(hall_load[h.name, t]) <= h.limit_mw
            if h.max_starts_per_min:
                lp += pulp.lpSum(starts[h.name, t]) <= h.max_starts_per_min * 15
    lp.setObjective(pulp.lpSum(usd))
    lp.solve(pulp.PULP_CBC_CMD(msg=False))
    assert pulp.LpStatus[lp.status] == "Optimal"
    assert made.objective_usd == pytest.approx(pulp.value(lp.objective), rel=1e-6, abs=TIES)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), interconnect=st.floats(2, 30))
def test_merit_order_is_the_optimum_where_nothing_couples_the_hours(seed, interconnect):
    """An oracle of five lines: every interval by itself, the best margin a megawatt first, up to the interconnect."""
    rng = np.random.default_rng(seed)
    groups = [group(f"{m}-{h}", m, rigs=int(rng.integers(50, 2000)), hall=h) for m in ("s19jpro", "s19xp", "s21") for h in "ab"]
    halls = tuple(Hall(name=h, meter="main", limit_mw=100, overhead=Overhead(share=0.02 * k)) for k, h in enumerate("ab"))
    where = site(*groups, halls=halls, interconnect_mw=interconnect)
    price = random_prices(rng, 24)
    made = plan(where, (Hashing(), Power(), Plant()), outlook(price), so_far())
    best_usd = 0.0
    for p in price:
        room = interconnect
        margins = []
        for g in groups:
            mw = g.rigs * g.full.watts / 1e6 * (1.02 if g.hall == "b" else 1.0)
            margins.append(((g.rigs * g.full.ths / 1e3 * 45 / 24) / mw - p, mw))
        for margin, mw in sorted(margins, reverse=True):
            if margin > 0:
                best_usd += margin * min(mw, room) * 0.25
                room -= min(mw, room)
    assert made.objective_usd == pytest.approx(best_usd, rel=1e-9, abs=TIES)


def test_warm_and_cold_starts_end_at_the_same_plan():
    """Two hundred changes of price on one session: each objective as from nothing, within 1e-9."""
    session = Session()
    base = program(3).arrays()
    rng = np.random.default_rng(0)
    for k in range(200):
        now = replace(base, cost=base.cost * rng.uniform(0.8, 1.2, len(base.cost)))
        hot = session.run(now)
        assert hot.status == OPTIMAL
        assert hot.gap <= 1e-9
        if k % 20 == 0:
            assert hot.objective == pytest.approx(Session().run(now).objective, rel=1e-9)


def test_a_warm_start_uses_changed_bounds():
    session = Session()
    a = program(3).arrays()
    session.run(a)
    tighter = replace(a, upper=np.where(np.isfinite(a.upper), a.upper * 0.5, a.upper), row_upper=a.row_upper + 0.25)
    assert session.run(tighter).objective == pytest.approx(Session().run(tighter).objective, rel=1e-9)


@pytest.mark.parametrize("where", ["cost", "offset", "matrix", "lower", "upper", "row_upper"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_nan_or_infinity_never_reaches_a_solver(where, bad):
    """HiGHS answers 'Optimal' to some of these and never answers to others."""
    a = program(2, n=8).arrays()
    if where == "offset":
        a = replace(a, offset=bad)
    elif where == "matrix":
        data = a.matrix.data.copy()
        data[3] = bad
        a = replace(a, matrix=replace(a.matrix, data=data))
    else:
        values = getattr(a, where).copy()
        values[0] = bad
        a = replace(a, **{where: values})
    open_side = (where, bad) in (("lower", float("-inf")), ("upper", float("inf")), ("row_upper", float("inf")))
    if open_side:
        assert a.finite
        return
    with pytest.raises(SolveError, match="not finite"):
        Session().run(a)


def test_the_certificate_rejects_a_solution_that_is_not_optimal():
    a = program(2, n=8).arrays()
    found = Session().run(a)
    assert certificate(a, found.x, found.dual) <= 1e-9
    assert certificate(a, np.zeros_like(found.x), found.dual) > 1e-3
    assert certificate(a, found.x * 1.5 + 1.0, found.dual) == float("inf")
    assert certificate(a, found.x, found.dual * 0.0) > 1e-3


def test_costs_as_small_as_the_solvers_tolerance_are_still_solved():
    """A column that saves 9e-8 a unit: HiGHS takes less than 1e-7 for nothing and leaves it at its lower bound."""
    a = program(2, n=8).arrays()
    small = replace(a, cost=np.where(a.upper - a.lower < 1e3, -9e-8, 0.0), integer=np.zeros_like(a.integer))
    found = Session().run(small)
    assert found.status == OPTIMAL and found.gap <= 1e-9


def test_infeasible_is_reported_and_the_session_stays_usable():
    session = Session()
    a = program(2, n=8).arrays()
    nowhere = replace(a, row_lower=np.where(np.isfinite(a.row_upper), a.row_upper + 1.0, a.row_lower), row_upper=a.row_upper + 1e-3)
    nowhere = replace(nowhere, row_upper=np.maximum(nowhere.row_lower, nowhere.row_upper))
    assert session.run(replace(nowhere, upper=nowhere.lower)).status == INFEASIBLE
    assert session.run(a).status == OPTIMAL


def test_the_time_limit_starts_again_with_each_run():
    """HiGHS adds the time of all runs of one object: a limit set once would end every later run."""
    session = Session()
    a = program(3, n=96).arrays()
    for k in range(60):
        assert session.run(replace(a, cost=a.cost * (1 + 0.01 * k)), budget_s=5.0).status == OPTIMAL


@pytest.mark.parametrize("ending", ["lp", "mps"])
def test_the_written_model_is_the_model(tmp_path, ending):
    """Another reader of the file finds the same optimum, and the names say what they stand for."""
    made = program(4, n=16, book=(*BOOK, Block(mw=3, usd_per_mwh=30)))
    file = tmp_path / f"model.{ending}"
    write_model(made, str(file))
    highs = highspy.Highs()
    highs.silent()
    assert highs.readModel(str(file)) == highspy.HighsStatus.kOk
    highs.run()
    assert highs.getInfo().objective_function_value == pytest.approx(solve_in_stages(made, Session()).objective, rel=1e-9)
    text = file.read_text()
    assert ending == "mps" or "interconnect_20260820T1600" in text or "hall_a_20260820T1600" in text


def test_row_and_column_names_are_unique():
    made = program(1, n=8)
    names = [v.name for v in to_pulp(made).variables()]
    assert 0 < len(set(names)) == len(names) <= 1 + sum(b.size for b in made.columns)
    assert any(name.startswith("rigs_s21_b_normal_20260820T1600") for name in names)


def test_other_solvers_agree_on_a_tiny_case():
    where = site(group("g", "s21", rigs=1000), interconnect_mw=2.0)
    made = program_of(where, (Hashing(), Power(), Plant()), outlook([10.0]), so_far())
    by_hand = -(2.0 / 3.5 * 200 / 24 * 45 * 0.25 - 2.0 * 10.0 * 0.25)
    for value in (solve_scipy(made.arrays()), solve_cbc(made), solve_in_stages(made, Session()).objective):
        assert value == pytest.approx(by_hand, abs=0.01)
    assert POINT in made.outlook.energy
