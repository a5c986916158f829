"""Where rigs come from: the catalogue's makers, what one maker's firmware may hold, and what a policy refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from dispatch import ConfigError
from dispatch.decide.limits_now import load_limits
from dispatch.decide.reflex import wanted
from dispatch.decide.state import State
from dispatch.entries import GroupSeen, Hold, Seen
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file
from dispatch.site_file.load import setup_from_document
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.plant import Plant
from optimizer.obligations.power import Power
from optimizer.planning.explain import reasons
from optimizer.planning.plan import plan
from tests.fakes import NOON, hashprice, prices
from tests.optimizer.fixtures import Dead, grid, group, outlook, site, so_far
from tests.sites import document
from tests.sites import group as written

# Every model of the catalogue with figures.
MODELS = {
    "Bitmain": "s19j-pro s19-xp s19k-pro s21 s21-plus s21-pro s21-xp s21-hyd s21-plus-hyd s21-xp-hyd s21e-xp-hyd-3u",
    "MicroBT": "m50s m50s++ m60s m60s++ m63s m63s++ m66s m66s-plus m66s++ m70s",
    "Canaan": "a1466 a1566 a15 a15-pro a16 a16xp",
    "Auradine": "at2880 ah3880",
    "Block": "rig",
}


def test_the_catalogue_holds_every_model_of_five_makers() -> None:
    models = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models
    for maker, names in MODELS.items():
        have = {name.partition("-")[2] for name, model in models.items() if model.maker == maker}
        assert have == set(names.split()), maker
    for name, model in models.items():
        awake = {m.name for m in model.modes if m.name != "sleep"}
        assert awake | {"standby_watts", "wake_min"} == set(model.figures), f"{name}: every figure says where it comes from, and no other"
        best = max(model.modes, key=lambda m: m.ths)
        assert 11.5 < best.j_per_th < 30.0, name


def two_makers() -> Any:
    rigs = (("bitmain-a", "Bitmain"), ("bitmain-b", "Bitmain"), ("microbt", "MicroBT"), ("own", ""))
    return site(*(group(name, rigs=1000, maker=maker) for name, maker in rigs))


def held(made: Any, where: Any, maker: str) -> Any:
    return sum(made.groups[g.name].load_mw for g in where.groups if g.maker == maker)


@pytest.mark.parametrize("session", [None, Dead()], ids=["solved", "without a solver"])
def test_no_maker_holds_more_than_the_plant_lets(session: Any) -> None:
    where = two_makers()
    book = (Hashing(), Power(), Plant(max_mw_per_maker=4.0))
    made = plan(where, book, outlook([20.0] * 4, grid(4, 60)), so_far(), session=session)
    np.testing.assert_allclose(held(made, where, "Bitmain"), 4.0, atol=0.01)
    np.testing.assert_allclose(held(made, where, "MicroBT"), 3.5, atol=0.01)
    np.testing.assert_allclose(made.load_mw, 11.0, atol=0.02)
    assert "one maker's firmware can drop at once: Bitmain's 4.000 MW now and 4.000 at most, MicroBT's 3.500 MW now and 3.500 at most, " \
        "an unknown maker's 3.500 MW now and 3.500 at most; 4 MW allowed each" in reasons(made)  # fmt: skip
    if session is None:
        assert made.shadow_prices["maker Bitmain"][0] == pytest.approx(107.142857 - 20.0, abs=0.01)
    free = plan(where, (Hashing(), Power(), Plant()), outlook([20.0] * 4, grid(4, 60)), so_far())
    assert held(free, where, "Bitmain").max() == pytest.approx(7.0)
    assert any("Bitmain's 7.000 MW now" in reason and "allowed" not in reason for reason in reasons(free))
    assert not any("firmware" in r for r in reasons(plan(site(group("g")), book[:2], outlook([20.0]), so_far())))


def test_the_loop_keeps_the_limit_against_a_hold() -> None:
    groups = [written("a", "a", watts=3000.0, ths=100.0, maker="MicroBT"), written("b", "b", watts=3000.0, ths=150.0, maker="MicroBT")]
    setup = setup_from_document(document(groups=groups, obligations=[{"type": "plant", "max_mw_per_maker": 0.18}]))
    hold = Hold(id="h", group=None, mode="normal", mw_cap=None, until=None, by="operator")
    looks = {g.name: GroupSeen(rigs=40, reachable=40, load_mw=0.12, hashrate_ph=4.0, changed={"normal": "0-39"}) for g in setup.site.groups}
    facts = (*prices([20.0] * 8, NOON - timedelta(hours=2)), hashprice(45.0, NOON))
    state = State.start(setup, setup_from_document).after(Seen(at=NOON, facts=facts, holds=(hold,), fleet=looks), 1)
    assert [(c.groups, c.cap_mw, c.why) for c in load_limits(state, NOON) if "firmware" in c.why] == [
        (("a", "b"), 0.18, "exposure: at most 0.18 MW on the firmware of MicroBT")
    ]
    want = wanted(state, NOON)
    assert sum(counts[1] * 3000.0 for counts in want.counts.values()) <= 0.18e6


def faults_of(policy: dict[str, Any], **tags: Any) -> list[str]:
    groups = [written("a-old", "a", watts=3000.0, ths=100.0), written("b-new", "b", watts=3500.0, ths=200.0, **tags)]
    try:
        setup_from_document(document(groups=groups, obligations=[{"type": "plant", **policy}]))
    except ConfigError as error:
        return [fault.removeprefix("(journal): ") for fault in error.faults]
    return []


def test_what_a_policy_forbids_is_refused_each_in_one_line() -> None:
    assert faults_of({"forbid": {"maker": ["Bitmain"]}}) == []  # the catalogue's m50s is MicroBT's
    assert faults_of({"forbid": {"maker": ["microbt"], "lists": ["X-1"]}}, lists=["x-1", "x-2"]) == [
        "groups.a-old.maker: is 'MicroBT', which contract 'plant' forbids",
        "groups.b-new.maker: is 'MicroBT', which contract 'plant' forbids",
        "groups.b-new.lists: is 'x-1', which contract 'plant' forbids",
    ]
    assert faults_of({"forbid": {"assembly": ["CN"]}}, assembly="CN") == ["groups.b-new.assembly: is 'CN', which contract 'plant' forbids"]


def test_what_a_policy_demands_must_be_said() -> None:
    assert faults_of({"demand": {"assembly": ["US", "MY"]}}, assembly="US") == [
        "groups.a-old.assembly: is not set, but contract 'plant' requires US or MY"
    ]
    assert faults_of({"demand": {"maker": ["Block"]}}, maker="Block") == [
        "groups.a-old.maker: is 'MicroBT', but contract 'plant' requires Block"
    ]
    assert faults_of({"demand": {"make": ["Block"]}}) == ["obligations.plant.demand.make: is not a key here; did you mean maker?"]


GENSET = {"type": "generation", "mw": 1.0, "fuel_usd_per_mmbtu": 2.0, "heat_rate_mmbtu_per_mwh": 9.5}
TWO_METERS = {
    "meters": [{"id": "main"}, {"id": "other"}],
    "halls": [{"name": "a", "meter": "main", "limit_mw": 0.5}, {"name": "b", "meter": "other", "limit_mw": 0.5}],
}


@pytest.mark.parametrize(
    ("book", "sections", "said"),
    [
        ([GENSET], TWO_METERS, ['generation.scope: needs one meter: scope = { meter = "..." }; the site has main, other']),
        ([{**GENSET, "scope": {"meter": "main"}}], TWO_METERS, []),
        (
            [{**GENSET, "scope": {"meter": "main"}}, {"type": "power", "scope": {"groups": ["b-new"]}}],
            TWO_METERS,
            ["generation: no power contract covers all of meter 'main': its generation would not be settled"],
        ),
        ([{**GENSET, "start_usd": 5.0}], {}, ["generation: starts, fuel at no load and minimum times need min_mw: "]),
    ],
)
def test_a_generator_needs_a_meter_and_somebody_who_settles_it(
    book: list[dict[str, Any]], sections: dict[str, Any], said: list[str]
) -> None:
    try:
        found = list(setup_from_document(document(obligations=book, **sections)).unverified) and []
    except ConfigError as error:
        found = list(error.faults)
    assert len(found) == len(said) and all(words in fault for words, fault in zip(said, found, strict=True)), found
