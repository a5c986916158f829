"""Every built-in obligation through the kit, on random markets."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge
from optimizer.domain.site import Hall, Meter, Overhead, Scope
from optimizer.obligations.block import Block, SellBack
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from tests.conformance import obligation_kit as kit
from tests.optimizer.fixtures import AT, POINT, group, outlook, random_prices, site

N = 12
HUB = "HB_WEST"


def ground(seed: int):
    """Two meters with losses at two points, two tenants, three modes; prices with spikes and negative ones."""
    rng = np.random.default_rng(seed)
    where = site(
        group("mine", "s21", rigs=800, hall="a", low=True, standby=10.0),
        group("old", "s19jpro", rigs=900, hall="a"),
        group("guests", "s19xp", rigs=700, hall="b", tenant="guest"),
        meters=(Meter(id="main", settlement_point=POINT, loss_factor=1.0178), Meter(id="other", settlement_point=HUB, loss_factor=1.003)),
        halls=(
            Hall(name="a", meter="main", limit_mw=100, overhead=Overhead(share=0.03, share_per_c_above_25=0.002)),
            Hall(name="b", meter="other", limit_mw=100),
        ),
    )
    prices = {POINT: random_prices(rng, N), HUB: np.round(random_prices(rng, N) - 30, 2)}
    return rng, where, outlook(prices, celsius=float(rng.uniform(0, 45)), hashprice=float(rng.uniform(20, 80)))


LINEAR = {
    "hashing": Hashing(pool_fee=0.02),
    "hashing of a tenant": Hashing(name="guests' hashing", pool_fee=0.01, scope=Scope(tenant="guest")),
    "power": Power(adders_usd_per_mwh=6.15),
    "power at a meter": Power(name="main power", adders_usd_per_mwh=-1.0, scope=Scope(meter="main")),
    "plant": Plant(),
    "block at full price": Block(mw=2.5, usd_per_mwh=32.5, scope=Scope(meter="main")),
    "block for an hour": Block(
        mw=2.5, usd_per_mwh=32.5, scope=Scope(meter="main"), **{"from": AT + timedelta(minutes=20), "to": AT + timedelta(minutes=80)}
    ),
    "block over two points": Block(mw=2.5, usd_per_mwh=32.5, settlement_point=HUB),
}


@pytest.mark.parametrize("kind", LINEAR)
@settings(max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_linear_ones_say_what_they_pay(kind, seed):
    rng, where, ahead = ground(seed)
    kit.holds(LINEAR[kind], where, ahead, rng, linear=True)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    mw=st.floats(0.1, 8),
    haircut=st.sampled_from([0.0, 2.0, 45.0, 400.0]),
    share=st.floats(0, 1.2),
    sells=st.booleans(),
    part=st.booleans(),
)
def test_a_block_never_promises_more_than_it_pays(seed, mw, haircut, share, sells, part):
    rng, where, ahead = ground(seed)
    terms = SellBack(haircut_usd_per_mwh=haircut, cap_mw=mw * share) if sells else None
    window = {"from": AT + timedelta(minutes=20), "to": AT + timedelta(minutes=100)} if part else {}
    block = Block(mw=mw, usd_per_mwh=30.0, sell_back=terms, scope=Scope(meter="main"), **window)
    kit.holds(block, where, ahead, rng, linear=False)
    kit.keeps_the_law(block, where, ahead, rng, linear=False, beside=(Hashing(), Power(adders_usd_per_mwh=6.15)))


@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_contracts_side_by_side_settle_each_megawatt_hour_once(seed):
    """Two blocks and index power over one load are the same money as index power and two differences to a price."""
    rng, where, ahead = ground(seed)
    one = Block(name="one", mw=2, usd_per_mwh=30, scope=Scope(meter="main"))
    two = Block(name="two", mw=1, usd_per_mwh=50, scope=Scope(meter="main"), **{"from": AT + timedelta(minutes=45)})
    power = Power()
    for beside in ((power, one), (one, power)):
        kit.keeps_the_law(two, where, ahead, rng, linear=True, beside=beside)
    program = kit.program_of(where, (power, one, two), ahead, kit.SoFar(at=ahead.at))
    path = kit.unpack(program, kit.rigs_of(program, kit.solve_with_random_load(program, rng)))
    real = kit.actuals_of(program, path)
    together = kit.settle((power, one, two), real).net_exact_usd
    index = kit.settle((power,), real).net_exact_usd
    price = ahead.energy[POINT].values
    mw = [2 + (i >= 3) for i in range(N)]
    worth = sum(Decimal(repr(float(p))) * m / 4 for p, m in zip(price, mw, strict=True))
    cost = Decimal(2 * 30 * N + 1 * 50 * (N - 3)) / 4
    assert abs(together - index - (worth - cost)) < Decimal("0.01")


class Greedy(Contract):
    """Says more in its program than its bill pays: the kit must find it out."""

    type: ClassVar[str] = "greedy"
    name: str = "greedy"

    def charges(self, its) -> Iterable[Charge]:
        planning = not hasattr(its, "energy")
        load = its.sum([its.energy_mwh(g.name) for g in its.site.groups])
        yield Charge("bonus", load, "mwh", its.during(None) * its.number(2.0 if planning else 1.0))


class Deaf(Hashing):
    """Does not hear its calls."""

    name: str = "deaf"

    def bounds(self, site, memory, calls, over):
        return super().bounds(site, memory, (), over)


@pytest.mark.parametrize("bad", [Greedy(), Deaf()])
def test_the_kit_finds_the_one_that_breaks_the_law(bad):
    rng, where, ahead = ground(1)
    with pytest.raises(AssertionError):
        kit.holds(bad, where, ahead, rng, linear=True)
