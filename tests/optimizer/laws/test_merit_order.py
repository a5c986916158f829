"""A plan by merit order earns at least what sleeping earns, and no lower load of the site or of a group earns noticeably more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import SLEEP, Availability, GroupNow, Scope, SoFar
from optimizer.lp.build import build_program
from optimizer.lp.cohorts import gather
from optimizer.lp.program import Program
from optimizer.lp.trajectory import plan_lines, unpack
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning import merit_order
from optimizer.planning.merit_order import group_steps
from optimizer.planning.merit_walk import LoadCap, follow, load_limits
from optimizer.planning.plan import plan
from tests.optimizer import fixtures, random_cases
from tests.optimizer.fixtures import Dead

# Of what the plan earns over sleeping: how much a lower load may earn more. Levels are found by halving, not exactly.
NOTICEABLE = 0.05


def tight_case(seed: int) -> random_cases.Case:
    """A tight site with a random mixture of charges that one interval's price does not show, and instructions in every third."""
    rng = np.random.default_rng([seed, 5])
    over = random_cases.span(rng, int(rng.integers(8, 40)))
    where = random_cases.site(rng, tight=True)
    book: list[Obligation] = [Hashing(pool_fee=0.01), Power(adders_usd_per_mwh=float(rng.choice([0.0, 6.15]))), Plant()]
    if rng.random() < 0.4:
        least = float(rng.uniform(0.5, 4)) if rng.random() < 0.3 else None
        book.append(Transmission(name="ncp", method="ncp", usd_per_kw_year=float(rng.choice([20, 60, 150])), contract_mw=least))
    if rng.random() < 0.3:
        book.append(Transmission(name="mbd", method="mbd", usd_per_kw_year=float(rng.choice([10, 40]))))
    if rng.random() < 0.4:
        book.append(Transmission(method="4cp", usd_per_kw_year=40.0))
    if rng.random() < 0.4:
        mw, cap = float(rng.uniform(0.5, 6)), float(rng.choice([1e9, 1.0]))
        sold = SellBack(haircut_usd_per_mwh=float(rng.choice([0.0, 10.0, 40.0])), cap_mw=cap) if rng.random() < 0.8 else None
        book.append(Block(mw=mw, usd_per_mwh=33.0, sell_back=sold, scope=Scope(meter=next(iter(random_cases.METERS)))))
    state = SoFar(over.start, groups=random_cases.doing(rng, where, over.start))
    if seed % 3 == 0:
        calls, _, _ = random_cases.calls(rng, where, book, over, most=2)
        state = replace(state, calls=tuple(call for call in calls if call.mw_delta is None))
    return random_cases.Case(where, tuple(book), random_cases.market(rng, over), state)


def earned_usd(book: tuple[Obligation, ...], program: Program, rigs: dict[str, dict[str, np.ndarray]]) -> float:
    path = unpack(program, rigs)
    return float(sum(usd.sum() for usd in plan_lines(book, program, path).values())) - path.wear_usd


def no_lower_load_earns_more(seed: int) -> None:
    case = tight_case(seed)
    book, rng = case.book, np.random.default_rng(seed)
    cohorts = gather(case.site, book, case.so_far, Availability(), case.outlook.temperature_c.values)
    program = build_program(cohorts, book, case.outlook)
    limits, steps = load_limits(program, book), [s for g in program.site.groups for s in group_steps(program, book, g)]
    rigs = merit_order.order(program, book)
    asleep = follow(program, limits, [replace(s, usd=np.full(program.n, -1.0)) for s in steps])
    made_usd, asleep_usd = earned_usd(book, program, rigs), earned_usd(book, program, asleep)
    assert made_usd >= asleep_usd - 1e-6, f"{made_usd:,.2f} $ is less than sleeping, {asleep_usd:,.2f} $"
    made, rest = unpack(program, rigs).group_load_mw, unpack(program, asleep).group_load_mw
    names = [g.name for g in program.site.groups]
    for groups in [tuple(names), *((name,) for name in names)]:
        most, least = sum(made[name] for name in groups), sum(rest[name] for name in groups)
        lower = np.minimum(most, least + float(rng.random()) * float((most - least).max()))
        # As many rigs as the plan has, fewer where the load is lower.
        wanted = [LoadCap((name,), made[name]) for name in names]
        lowered_usd = earned_usd(book, program, follow(program, limits, steps, [*wanted, LoadCap(groups, lower)]))
        assert lowered_usd <= made_usd + NOTICEABLE * (made_usd - asleep_usd) + 1.0, (groups, lowered_usd, made_usd, asleep_usd)


def test_no_lower_load_earns_more_than_the_merit_order_fifteen_times():
    random_cases.each(range(15), no_lower_load_earns_more)


@pytest.mark.slow
def test_no_lower_load_earns_more_than_the_merit_order():
    random_cases.each(range(15, 75), no_lower_load_earns_more)


def test_a_demand_charge_is_paid_only_by_a_load_that_earns_it():
    """A quarter hour at $100 earns $1.80 a megawatt, and raises the month's demand; the plan's hour bears about $18 a megawatt of that."""
    where = fixtures.site(fixtures.group("a", rigs=1000))
    book = (Hashing(), Power(), Transmission(name="demand", method="ncp", usd_per_kw_year=60.0))
    made = plan(where, book, fixtures.outlook([100.0, 5000.0, 5000.0, 5000.0]), fixtures.so_far(), session=Dead())
    assert made.solve.status == "merit order" and made.load_mw.max() == 0.0 and made.objective_usd == 0.0


def test_a_block_at_a_haircut_is_used_up_and_no_more():
    where = fixtures.site(fixtures.group("a", rigs=1000))  # 3.5 MW, which break even at 107 $/MWh
    block = Block(mw=2.0, usd_per_mwh=33.0, sell_back=SellBack(haircut_usd_per_mwh=40.0))
    made = plan(where, (Hashing(), Power(), block), fixtures.outlook([130.0, 30.0]), fixtures.so_far(), session=Dead())
    np.testing.assert_allclose(made.load_mw, [2.0, 3.5], atol=0.01)


def test_rigs_are_not_started_for_less_than_their_wear():
    where = fixtures.site(fixtures.group("a", rigs=1000, wear_usd_per_start=1.0, min_on_min=60))
    price = [100.0, 130.0, 130.0, 130.0, *[30.0] * 92]
    made = plan(where, (Hashing(), Power()), fixtures.outlook(price), fixtures.so_far(), session=Dead())
    assert made.load_mw[:4].max() == 0.0 and made.load_mw[4:].min() == pytest.approx(3.5)
    awake = GroupNow({SLEEP: 0.0, "normal": 1000.0})
    kept = plan(where, (Hashing(), Power()), fixtures.outlook(price), fixtures.so_far(groups={"a": awake}), session=Dead())
    assert kept.load_mw[0] == pytest.approx(3.5)


def test_contracts_that_raise_are_named_and_the_load_is_still_found():
    class Broken(Plant):
        def charges(self, its):
            raise RuntimeError("no charges today")

    failures = PluginFailures()
    where = fixtures.site(fixtures.group("a", rigs=1000))
    book = (Hashing(), Power(), Broken(name="broken"))
    cohorts = gather(where, book, fixtures.so_far(), Availability(), np.full(4, 20.0))
    program = build_program(cohorts, book[:2], fixtures.outlook([30.0] * 4))
    rigs = merit_order.order(program, book, faults=failures)
    assert list(failures.by) == ["broken"] and rigs["a"]["normal"].min() == pytest.approx(1000.0)
