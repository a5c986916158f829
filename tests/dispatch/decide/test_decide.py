"""Reflex and reconcile: what is wanted now, and which rigs move."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dispatch.decide.decide import decide
from dispatch.decide.reflex import wanted
from dispatch.decide.state import State
from dispatch.entries import Commanded, Done, Entry, GroupSeen, Hold, Planned, PriceBasisChanged, Result, RunStarted, Seen, pack, unpack
from dispatch.site_file.load import setup_from_document
from markets.facts import Call, CallKind
from tests.fakes import NOON, price
from tests.sites import document, group, small

MINUTE = timedelta(minutes=1)


def look(setup: Any, **conditions: dict[str, str]) -> dict[str, GroupSeen]:
    """Every group as named; "normal" where not."""
    out = {}
    for g in setup.site.groups:
        changed = conditions.get(g.name.replace("-", "_"), {"normal": f"0-{g.rigs - 1}"})
        awake = len(unpack(changed.get("normal", "")))
        unreachable = len(unpack(changed.get("unreachable", "")))
        load_mw = (awake * g.full.watts + (g.rigs - awake) * 20.0) / 1e6
        out[g.name] = GroupSeen(rigs=g.rigs, reachable=g.rigs - unreachable, load_mw=load_mw, hashrate_ph=0.0, changed=changed)
    return out


def waking_all(**changes: Any) -> Any:
    """A site that wakes rigs whoever put them to sleep."""
    return small(site={**document()["site"], "wakes": "all"}, **changes)


def folded(setup: Any, *entries: Entry) -> State:
    state = State.start(setup, setup_from_document)
    for seq, entry in enumerate(entries, start=1):
        state = state.after(entry, seq)
    return state


def planned(setup: Any, at: datetime, as_of: int, **modes: dict[str, float]) -> Planned:
    """A plan of one interval over the next day."""
    groups = {
        g.name: {"load_mw": 0.0, "hashrate_ph": 0.0, "modes": modes.get(g.name.replace("-", "_"), {"normal": float(g.rigs)})}
        for g in setup.site.groups
    }
    interval = {"start": at.isoformat(), "end": (at + timedelta(days=1)).isoformat(), "load_mw": 0.0, "groups": groups, "offers": {}}
    return Planned(at=at, as_of=as_of, plan={"intervals": [interval], "reasons": ["because"], "objective_usd": 0.0})


def call(at: datetime, **more: Any) -> Call:
    figures = {"mw_cap": 0.1, **more}
    return Call(
        source="qse", known_at=at, id=figures.pop("id", "c1"), version=figures.pop("version", 1), obligation="plant",
        kind=CallKind(figures.pop("kind", "deploy")), notice_at=at, start_at=figures.pop("start_at", at), **figures,
    )  # fmt: skip


def moved(commanded: Commanded | None) -> dict[tuple[str, str], tuple[int, ...]]:
    return {} if commanded is None else {(o.group, o.mode): unpack(o.rigs) for o in commanded.orders}


def test_follows_the_plan_and_stays_when_it_is_met() -> None:
    setup = small()
    seen = Seen(at=NOON, fleet=look(setup))
    state = folded(setup, seen, planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    assert moved(decide(state, NOON, 1)) == {("a-old", "sleep"): tuple(range(40))}
    met = folded(setup, Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-39"})), planned(setup, NOON, 1, a_old={"sleep": 40.0}))
    assert decide(met, NOON, 1) is None


def test_without_a_plan_the_rigs_stay_as_they_are() -> None:
    setup = small()
    state = folded(setup, Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-9", "normal": "10-39"})))
    assert decide(state, NOON, 1) is None


def test_fractions_of_rigs_become_whole_rigs_that_add_up() -> None:
    setup = small()
    plan = planned(setup, NOON, 1, a_old={"sleep": 12.4, "normal": 27.6})
    assert wanted(folded(setup, Seen(at=NOON, fleet=look(setup)), plan), NOON).counts["a-old"] == [12, 28]


def test_a_call_caps_at_once_and_sheds_the_worst_rigs_first() -> None:
    """0.26 MW run; a cap of 0.15 MW takes the 30 J/TH rigs before any 17.5 J/TH rig, without waiting for a plan."""
    setup = small()
    state = folded(
        setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1), Seen(at=NOON + MINUTE, facts=(call(NOON, mw_cap=0.15),))
    )
    commanded = decide(state, NOON + MINUTE, 1)
    assert set(moved(commanded)) == {("a-old", "sleep")}
    kept = 40 - len(moved(commanded)[("a-old", "sleep")])
    assert 40 * 3500 + kept * 3000 + (40 - kept) * 20 <= 150_000 < 40 * 3500 + (kept + 1) * 3000 + (39 - kept) * 20
    assert commanded is not None and "call c1" in commanded.reasons[0]


def test_a_recall_ends_the_cap() -> None:
    setup = waking_all()
    recall = call(NOON + 5 * MINUTE, kind="recall", mw_cap=None)
    sleeping = look(setup, a_old={"sleep": "0-39"}, b_new={"sleep": "0-39"})
    state = folded(setup, Seen(at=NOON, fleet=sleeping, facts=(call(NOON, mw_cap=0.0),)), planned(setup, NOON, 1))
    said = decide(state, NOON, 1)
    assert said is not None and said.orders == () and said.shortfall_mw == {"plant": pytest.approx(80 * 20e-6)}  # no rig sleeps for nothing
    again = state.after(Seen(at=NOON + 5 * MINUTE, facts=(recall,)), 3).after(planned(setup, NOON + 5 * MINUTE, 3), 4)
    assert moved(decide(again, NOON + 5 * MINUTE, 1)) == {("a-old", "normal"): tuple(range(40)), ("b-new", "normal"): tuple(range(40))}


def test_a_delta_counts_from_the_load_at_notice() -> None:
    setup = small()
    delta = call(NOON + MINUTE, mw_cap=None, mw_delta=0.06)
    state = folded(setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1), Seen(at=NOON + MINUTE, facts=(delta,)))
    rigs = moved(decide(state, NOON + MINUTE, 1))[("a-old", "sleep")]
    assert len(rigs) == 21  # 21 x 2,980 W is the first drop of 0.06 MW or more


def test_minimum_times_hold_price_moves_and_yield_to_a_firm_instruction() -> None:
    groups = [group("a-old", "a", watts=3000.0, ths=100.0, min_on_min=30), group("b-new", "b", watts=3500.0, ths=200.0)]
    setup = waking_all(groups=groups)
    asleep = Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-39"}))
    state = folded(setup, asleep, planned(setup, NOON, 1))
    woken = decide(state, NOON, 1)
    assert woken is not None
    state = state.after(woken, 3).after(done(woken), 4).after(Seen(at=NOON + 5 * MINUTE, fleet=look(setup)), 5)
    state = state.after(planned(setup, NOON + 5 * MINUTE, 5, a_old={"sleep": 40.0}), 6)
    waits = decide(state, NOON + 5 * MINUTE, 1)
    assert waits is not None and waits.orders == () and waits.skipped == {"a-old": {"minimum time": 40}}
    assert decide(state.after(waits, 7), NOON + 10 * MINUTE, 1) is None  # it is said once
    assert moved(decide(state, NOON + 31 * MINUTE, 1)) == {("a-old", "sleep"): tuple(range(40))}
    called = state.after(Seen(at=NOON + 6 * MINUTE, facts=(call(NOON, mw_cap=0.0),)), 7)
    assert ("a-old", "sleep") in moved(decide(called, NOON + 6 * MINUTE, 1))


def test_rigs_left_alone_stay_named_while_a_new_plan_is_on_its_way() -> None:
    groups = [group("a-old", "a", watts=3000.0, ths=100.0, min_on_min=30), group("b-new", "b", watts=3500.0, ths=200.0)]
    setup = waking_all(groups=groups)
    state = folded(setup, Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-39"})), planned(setup, NOON, 1))
    woken = decide(state, NOON, 1)
    assert woken is not None
    state = state.after(woken, 3).after(done(woken), 4).after(Seen(at=NOON + 5 * MINUTE, fleet=look(setup)), 5)
    state = state.after(planned(setup, NOON + 5 * MINUTE, 5, a_old={"sleep": 40.0}), 6)
    waits = decide(state, NOON + 5 * MINUTE, 1)
    assert waits is not None and waits.skipped == {"a-old": {"minimum time": 40}}
    state = state.after(waits, 7).after(Seen(at=NOON + 6 * MINUTE, facts=(price(200.0, NOON),)), 8)
    assert state.news and decide(state, NOON + 6 * MINUTE, 1) is None


def done(commanded: Commanded, **outcomes: str) -> Done:
    """All reached, but for the outcomes named: {"no_effect": "0-3"} of the first order."""
    first, *rest = commanded.orders
    bad = {rig for packed in outcomes.values() for rig in unpack(packed)}
    by = {**outcomes, "reached": pack([r for r in unpack(first.rigs) if r not in bad])}
    return Done(
        at=commanded.at,
        results=(Result(order=first.id, rigs_by_outcome=by), *(Result(order=o.id, rigs_by_outcome={"reached": o.rigs}) for o in rest)),
    )


def test_load_that_did_not_move_is_shed_by_other_rigs_in_the_next_round() -> None:
    setup = small()
    half = {"sleep": 20.0, "normal": 20.0}
    state = folded(setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1, a_old=half))
    first = decide(state, NOON, 1)
    assert moved(first) == {("a-old", "sleep"): tuple(range(20))}
    state = state.after(first, 3).after(done(first, no_effect="0-4"), 4)
    second = decide(state, NOON, 2)
    assert moved(second) == {("a-old", "sleep"): (20, 21, 22, 23, 24)}
    state = state.after(second, 5).after(done(second), 6)
    assert decide(state, NOON, 3) is None
    assert decide(state, NOON, 4) is None


def test_rigs_that_do_not_answer_are_left_alone_and_counted() -> None:
    setup = small()
    seen = Seen(at=NOON, fleet=look(setup, a_old={"normal": "0-29", "unreachable": "30-39"}))
    commanded = decide(folded(setup, seen, planned(setup, NOON, 1, a_old={"sleep": 30.0})), NOON, 1)
    assert moved(commanded) == {("a-old", "sleep"): tuple(range(30))}
    assert commanded is not None and commanded.skipped == {"a-old": {"unreachable": 10}}


def test_a_rig_that_wakes_by_itself_is_put_back() -> None:
    setup = small()
    plan = planned(setup, NOON, 1, a_old={"sleep": 40.0})
    state = folded(setup, Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-39"})), plan)
    drifted = Seen(at=NOON + 5 * MINUTE, fleet=look(setup, a_old={"normal": "7", "sleep": "0-6,8-39"}))
    state = state.after(drifted, 3).after(planned(setup, NOON + 5 * MINUTE, 3, a_old={"sleep": 40.0}), 4)
    assert moved(decide(state, NOON + 5 * MINUTE, 1)) == {("a-old", "sleep"): (7,)}


def test_starts_are_limited_by_the_hall() -> None:
    halls = [{"name": "a", "meter": "main", "limit_mw": 0.5, "max_starts_per_min": 2}, {"name": "b", "meter": "main", "limit_mw": 0.5}]
    setup = waking_all(halls=halls)
    seen = Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-39"}, b_new={"sleep": "0-39"}))
    state = folded(setup, seen, planned(setup, NOON, 1))
    commanded = decide(state, NOON, 1)
    assert moved(commanded) == {("a-old", "normal"): tuple(range(10)), ("b-new", "normal"): tuple(range(40))}
    assert commanded is not None and commanded.skipped["a-old"] == {"inrush or ramp limit": 30}
    state = state.after(commanded, 3)
    assert decide(state, NOON + MINUTE, 1) is None  # the tick's starts are used up
    assert len(moved(decide(state, NOON + 6 * MINUTE, 1))[("a-old", "normal")]) == 10


@pytest.mark.parametrize(("safe", "orders"), [("hold", {}), ("sleep", {("a-old", "sleep"), ("b-new", "sleep")})])
def test_safe_state_when_no_price_is_known(safe: str, orders: set[tuple[str, str]]) -> None:
    site = {"name": "S", "market": "ercot", "settlement_point": "LZ_WEST", "interconnect_mw": 1.0, "safe_state": safe}
    setup = small(site=site)
    state = folded(
        setup,
        Seen(at=NOON, fleet=look(setup)),
        planned(setup, NOON, 1, a_old={"sleep": 40.0}),
        PriceBasisChanged(at=NOON, price_basis="safe-state", why="no price"),
    )
    assert set(moved(decide(state, NOON + 20 * MINUTE, 1))) == set(orders)


def test_a_hold_keeps_a_group_in_its_mode_whatever_the_plan_says() -> None:
    setup = small()
    hold = Hold(id="h1", group="b-new", mode="sleep", mw_cap=None, until=None, by="Ann")
    state = folded(setup, Seen(at=NOON, fleet=look(setup), holds=(hold,)), planned(setup, NOON, 1))
    assert moved(decide(state, NOON, 1)) == {("b-new", "sleep"): tuple(range(40))}
    released = Hold(id="h1", group=None, mode=None, mw_cap=None, until=None, by="Ann", released=True)
    state = state.after(Seen(at=NOON + MINUTE, holds=(released,)), 3).after(planned(setup, NOON + MINUTE, 3), 4)
    assert decide(state, NOON + MINUTE, 1) is None


def test_the_same_state_gives_the_same_bytes() -> None:
    setup = small()
    state = folded(setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1, a_old={"sleep": 7.0, "normal": 33.0}))
    assert decide(state, NOON, 1) == decide(state, NOON, 1)


def test_another_site_file_keeps_what_it_can() -> None:
    setup, other = small(), small(groups=[group("a-old", "a", watts=3000.0, ths=100.0), group("b-newer", "b", watts=3600.0, ths=220.0)])
    started = RunStarted(at=NOON, world="live", version="1", config_hash=other.hash_id, token=2, config=other.document)
    state = folded(setup, Seen(at=NOON, fleet=look(setup, a_old={"sleep": "0-39"})), planned(setup, NOON, 1), started)
    assert set(state.fleet) == {"a-old", "b-newer"}
    assert (state.fleet["a-old"].seen == 0).all() and state.plan is None


def test_rigs_that_left_their_mode_are_ordered_back_before_others_are_moved() -> None:
    setup = small()
    half = {"sleep": 20.0, "normal": 20.0}
    state = folded(setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1, a_old=half))
    first = decide(state, NOON, 1)
    assert first is not None
    state = state.after(first, 3).after(done(first), 4)
    woken = Seen(at=NOON + 5 * MINUTE, fleet=look(setup, a_old={"normal": "0-4,20-39", "sleep": "5-19"}))
    state = state.after(woken, 5).after(planned(setup, NOON + 5 * MINUTE, 5, a_old=half), 6)
    assert moved(decide(state, NOON + 5 * MINUTE, 1)) == {("a-old", "sleep"): (0, 1, 2, 3, 4)}


def test_waiting_for_a_plan_moves_no_rig_even_after_failed_orders() -> None:
    """Liars were replaced by others; a tick that waits for a new plan must not replace them again."""
    setup = small()
    half = {"sleep": 20.0, "normal": 20.0}
    state = folded(setup, Seen(at=NOON, fleet=look(setup)), planned(setup, NOON, 1, a_old=half))
    first = decide(state, NOON, 1)
    assert first is not None
    state = state.after(first, 3).after(done(first, no_effect="0-4"), 4)
    second = decide(state, NOON, 2)
    assert second is not None
    state = state.after(second, 5).after(done(second), 6)
    later = Seen(at=NOON + 5 * MINUTE, facts=(price(30.0, NOON),), fleet=look(setup, a_old={"normal": "0-4,25-39", "sleep": "5-24"}))
    assert decide(state.after(later, 7), NOON + 5 * MINUTE, 1) is None


def test_what_a_call_cut_is_not_cut_again_before_the_next_reading() -> None:
    """The last look shows the load from before the command: it says nothing of what the rigs that still hash draw."""
    setup = small()
    posted = Seen(at=NOON, fleet=look(setup), facts=(call(NOON),))
    state = folded(setup, posted)
    cut = decide(state, NOON, 1)
    assert cut is not None
    done = Done(at=NOON + MINUTE, results=tuple(Result(order=o.id, rigs_by_outcome={"reached": o.rigs}) for o in cut.orders))
    state = state.after(cut, 2).after(done, 3)
    assert decide(state, NOON + MINUTE, 1) is None


def test_a_plan_that_swaps_groups_waits_while_a_set_point_is_in_force() -> None:
    """Rigs that stop are gone in seconds and those that start take minutes: meanwhile the load would be below the set point."""
    setup = waking_all()
    half = setup.site.group("a-old").rigs * 3000.0 / 1e6 + 40 * 20.0 / 1e6
    point = call(NOON, kind="set_point", mw_cap=None, mw_target=half)
    seen = Seen(at=NOON, fleet=look(setup, b_new={"sleep": "0-39"}), facts=(point,))
    swapped = {"a_old": {"sleep": 40.0}, "b_new": {"normal": 40.0}}
    assert decide(folded(setup, seen, planned(setup, NOON, 1, **swapped)), NOON, 1) is None
    without = Seen(at=NOON, fleet=look(setup, b_new={"sleep": "0-39"}))
    orders = moved(decide(folded(setup, without, planned(setup, NOON, 1, **swapped)), NOON, 1))
    assert set(orders) == {("a-old", "sleep"), ("b-new", "normal")}


def test_after_an_event_rigs_stay_down_as_long_as_the_site_file_says() -> None:
    setup = waking_all()
    held = waking_all().document
    held = setup_from_document({**held, "site": {**held["site"], "post_event_hold_min": 10.0}})
    event = call(NOON - 30 * MINUTE, mw_cap=0.003, end_at=NOON)
    asleep = {"a_old": {"sleep": "0-39"}, "b_new": {"sleep": "0-39"}}
    for site, after, wakes in ((setup, 5, True), (held, 5, False), (held, 11, True)):
        at = NOON + after * MINUTE
        seen = Seen(at=at, fleet=look(site, **asleep), facts=(event,))
        commanded = decide(folded(site, seen, planned(site, at, 1)), at, 1)
        assert bool(moved(commanded)) is wakes, (after, commanded)
        assert wakes or (commanded is None or "post_event_hold_min" in " ".join(commanded.reasons))
    deeper = call(NOON, id="c2", mw_cap=0.0)
    at = NOON + 11 * MINUTE
    seen = Seen(at=at, fleet=look(held, **asleep), facts=(event, deeper))
    assert moved(decide(folded(held, seen, planned(held, at, 1)), at, 1)) == {}, "no restart while another stop is in force"


def test_the_hold_after_an_event_yields_to_the_next_set_point_and_is_no_promise_of_the_contract() -> None:
    held = waking_all().document
    held = setup_from_document({**held, "site": {**held["site"], "post_event_hold_min": 10.0}})
    event, at = call(NOON - 30 * MINUTE, mw_cap=0.003, end_at=NOON), NOON + 5 * MINUTE
    point = call(at, id="c2", kind="set_point", mw_cap=None, mw_target=0.1)
    asleep = Seen(at=at, fleet=look(held, a_old={"sleep": "0-39"}, b_new={"sleep": "0-39"}), facts=(event, point))
    assert moved(decide(folded(held, asleep, planned(held, at, 1)), at, 1))
    before, silent = look(held), look(held, a_old={"unreachable": "0-39"})
    silent["a-old"] = replace(silent["a-old"], load_mw=before["a-old"].load_mw)
    drawing = folded(held, Seen(at=NOON, fleet=before), Seen(at=at, fleet=silent, facts=(event,)), planned(held, at, 2))
    assert set(wanted(drawing, at).short) == {"post-event hold"}


def test_a_call_that_begins_within_the_tick_is_answered_when_it_begins() -> None:
    setup, start = waking_all(), NOON + 3 * MINUTE
    later = call(NOON, start_at=start)
    early = folded(setup, Seen(at=NOON, fleet=look(setup), facts=(later,)), planned(setup, NOON, 1))
    assert moved(decide(early, NOON, 1)) == {}, "a price that comes at noon is no reason to stop three minutes early"
    then = folded(setup, Seen(at=start, fleet=look(setup), facts=(later,)), planned(setup, start, 1))
    assert moved(decide(then, start, 1))
