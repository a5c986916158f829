"""Planning like groups as one is exact: money and every group's load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.domain.site import Availability, GroupNow, Hall, Scope
from optimizer.lp.build import build_program
from optimizer.lp.cohorts import Cohorts, gather
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.plan import plan
from optimizer.solve import Session
from optimizer.solve.lexicographic import solve_in_stages
from tests.optimizer.fixtures import AT, MODELS, available, grid, group, outlook, random_prices, site, so_far
from tests.optimizer.planning.test_plan import BOOK


def apart(where, state, availability=None) -> Cohorts:
    """Every group by itself."""
    return Cohorts(where, state, availability or Availability(), {g.name: ((g.name, 1.0),) for g in where.groups})


def many(rng: np.random.Generator, **more):
    """Thirty groups of three models in one hall, of very different sizes."""
    names = [(m, k) for k in range(10) for m in MODELS]
    return site(*(group(f"{m}-{k}", m, rigs=int(rng.integers(20, 400)), min_on_min=30, min_off_min=45, **more) for m, k in names),
                interconnect_mw=9.0, halls=(Hall(name="a", meter="main", limit_mw=8.0, max_starts_per_min=60),))  # fmt: skip


@settings(max_examples=6)
@given(seed=st.integers(0, 1000))
def test_thirty_groups_as_three(seed):
    rng = np.random.default_rng(seed)
    where, state, ahead = many(rng), so_far(), outlook(random_prices(rng, 32))
    together = gather(where, BOOK, state, Availability(), ahead.temperature_c.values)
    assert len(together.site.groups) == 3
    one = solve_in_stages(build_program(together, BOOK, ahead), Session()).objective
    other = solve_in_stages(build_program(apart(where, state), BOOK, ahead), Session()).objective
    assert one == pytest.approx(other, rel=1e-6, abs=0.05)
    made = plan(where, BOOK, ahead, state)
    for g in where.groups:
        share = g.rigs / sum(o.rigs for o in where.groups if o.model == g.model)
        whole = sum(made.groups[o.name].load_mw for o in where.groups if o.model == g.model)
        np.testing.assert_allclose(made.groups[g.name].load_mw, whole * share, atol=1e-9)


def test_what_tells_groups_apart_keeps_them_apart():
    where = site(*(group(n, rigs=100) for n in ("a", "b")))
    flat = outlook([10.0] * 4).temperature_c.values

    def count(w=where, book=BOOK, state=None, availability=None):
        return len(gather(w, book, state or so_far(), availability or Availability(), flat).site.groups)

    assert count() == 1
    assert count(book=(*BOOK, Power(name="x", scope=Scope(groups=("a",))))) == 2
    assert count(w=site(group("a"), group("b", tenant="guest"))) == 2
    assert count(w=site(group("a"), group("b", min_on_min=30))) == 2
    assert count(w=site(group("a"), group("b", standby=5.0))) == 2
    assert count(availability=available(grid(4), a=[50, 50, 50, 50], b=[100, 100, 100, 100])) == 2
    assert count(availability=available(grid(4), a=[50, 50, 50, 50], b=[50, 50, 50, 50])) == 1
    now = so_far(groups={"a": GroupNow({"normal": 100.0}), "b": GroupNow({"sleep": 100.0})})
    assert count(state=now) == 1  # no minimum time: the past binds nothing
    slow = site(*(group(n, rigs=100, min_on_min=30) for n in ("a", "b")))
    assert count(w=slow, state=now) == 2
    assert count(w=slow, state=so_far(groups={n: GroupNow({"normal": 60.0}, woken=((AT, 60),)) for n in ("a", "b")})) == 1


def test_halls_that_cannot_bind_are_one():
    groups = [group(f"g{k}", hall=f"h{k}", rigs=100) for k in range(4)]
    wide = site(*groups, halls=tuple(Hall(name=f"h{k}", meter="main", limit_mw=1.0) for k in range(4)))
    tight = site(*groups, halls=tuple(Hall(name=f"h{k}", meter="main", limit_mw=0.3) for k in range(4)))
    flat = outlook([10.0]).temperature_c.values
    assert len(gather(wide, BOOK, so_far(), Availability(), flat).site.groups) == 1
    assert len(gather(tight, BOOK, so_far(), Availability(), flat).site.groups) == 4
    book = (*BOOK, Power(name="x", scope=Scope(hall="h1")))
    assert len(gather(wide, book, so_far(), Availability(), flat).site.groups) == 2


def test_a_hundred_groups_keep_their_scopes():
    """A scope by tenant or by name means the same after groups are put together."""
    rng = np.random.default_rng(1)
    groups = [group(f"g{k}", "s21", rigs=int(rng.integers(10, 100)), tenant="own" if k % 2 else "guest") for k in range(100)]
    book = (Hashing(scope=Scope(tenant="own")), Hashing(name="guests", pool_fee=0.5, scope=Scope(tenant="guest")), Power(), Plant())
    made = plan(site(*groups), book, outlook([30.0] * 4), so_far())
    for g in groups:
        ph = made.groups[g.name].hashrate_ph.sum()
        assert ph == pytest.approx(g.rigs * 0.2 * 4)
    own = sum(g.rigs for g in groups if g.tenant == "own") * 0.2 * 45 / 24
    assert made.lines[("hashing", "hash_revenue")].sum() == pytest.approx(own)
