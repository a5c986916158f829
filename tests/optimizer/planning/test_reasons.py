"""The reasons of a plan name the true cause, say what demand charges and coincident peaks do, and fit on a screen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from markets.series import Series
from optimizer.domain.site import Hall, Mode, Scope
from optimizer.obligations.ancillary.contract import Ancillary
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from tests.optimizer.fixtures import group, outlook, site, so_far
from tests.rule_cases import with_market_rules

BOOK = (Hashing(), Power(), Plant())


def said_of(made, name):
    (found,) = [reason for reason in reasons(made) if reason.startswith(f"{name} ")]
    return found


def test_the_hall_that_holds_a_group_is_named_and_not_another_one():
    """Both halls bind; each group is limited by its own. The interconnect of the site does not bind."""
    halls = (Hall(name="a", meter="main", limit_mw=2.0), Hall(name="b", meter="main", limit_mw=1.0))
    made = plan(site(group("one", hall="a"), group("two", hall="b"), halls=halls), BOOK, outlook([20.0] * 4), so_far())
    assert "limited by hall a" in said_of(made, "one") and "hall b" not in said_of(made, "one")
    assert "limited by hall b" in said_of(made, "two") and "hall a" not in said_of(made, "two")
    tight = plan(site(group("one", hall="a"), group("two", "s19jpro", hall="b"), interconnect_mw=4.0), BOOK, outlook([20.0] * 4), so_far())
    assert "limited by interconnect" in said_of(tight, "two")


def test_reserve_that_keeps_rigs_awake_is_the_cause():
    ahead = outlook([120.0] * 4)
    ahead = replace(ahead, reserve={"RRS": Series(ahead.grid, np.full(4, 90.0), "usd_per_mw_h")})
    made = plan(site(group("one")), (*BOOK, with_market_rules(Ancillary(products=("RRS",)))), ahead, so_far())
    assert said_of(made, "one").endswith("held by the reserve of ancillary")


def test_a_demand_charge_that_holds_the_load_down_is_named_with_its_cost():
    """2 MW were the month's highest; one more costs 15 $ a kW, of which these hours carry more than an hour of hashing earns."""
    contract = with_market_rules(Transmission(name="tariff", method="ncp", usd_per_kw_year=180.0))
    memory = {"tariff": contract.memory_type.from_json({"period": 2026 * 12 + 7, "own_peak_mw": 2.0})}
    made = plan(site(group("one")), (*BOOK, contract), outlook([60.0] * 4), so_far(memory=memory))
    np.testing.assert_allclose(made.load_mw, 2.0, atol=1e-6)
    assert "limited by the demand charge of tariff" in said_of(made, "one")
    (why,) = [reason for reason in reasons(made) if reason.startswith("tariff: ")]
    assert "the load is held under 2 MW (11-12) because one MW more costs $" in why
    roomy = plan(site(group("one", rigs=500)), (*BOOK, contract), outlook([60.0] * 4), so_far(memory=memory))
    assert not any(reason.startswith("tariff: ") for reason in reasons(roomy))


def test_a_coincident_peak_is_named_where_it_lowers_the_load():
    """A tenth of the month's peak is expected in the second interval: 25 $ a kW of 100 make 2,500 $ a MW."""
    contract = with_market_rules(Transmission(name="4cp", method="4cp", usd_per_kw_year=100.0))
    ahead = outlook([30.0] * 4)
    ahead = replace(ahead, peak_share={15: Series(ahead.grid, np.array([0.0, 0.1, 0.0, 0.0]), "share")})
    made = plan(site(group("one")), (*BOOK, contract), ahead, so_far())
    (why,) = [reason for reason in reasons(made) if reason.startswith("4cp: ")]
    assert why == (
        "4cp: the load is down to 0 MW (11:15-11:30) because the month's system peak is expected there with a chance of up to 10%: "
        "one MW costs $2,500.00"
    )


@pytest.mark.parametrize("models", [1, 400])
def test_the_reasons_of_two_thousand_groups_fit_on_a_screen(models):
    """Every group in a hall of its own, of many models: those that do the same share a sentence."""

    def rig(k):
        watts = 3000.0 + k % models
        return (Mode(name="sleep", watts=0.0, ths=0.0), Mode(name="normal", watts=watts, ths=watts / (16.0 + 12.0 * (k % models) / 400)))

    groups = [group(f"g{k}", rigs=10, hall=f"h{k}", modes=rig(k)) for k in range(2000)]
    halls = tuple(Hall(name=f"h{k}", meter="main", limit_mw=0.02 if k % 7 == 0 else 1.0) for k in range(2000))
    book = (*BOOK, Plant(name="part", scope=Scope(hall="h3")))
    made = plan(site(*groups, halls=halls), book, outlook([60.0, 90.0] * 2), so_far())
    said = reasons(made)
    assert len(said) <= 40 and max(map(len, said)) <= 400, [len(said), max(said, key=len)]
    assert any("other groups" in text or "like it" in text for text in said)
