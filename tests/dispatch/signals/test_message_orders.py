"""Messages of one call in any order, twice, late or early: loop, page, list and packet show the same call."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatch.clock import SystemClock, VirtualClock
from dispatch.decide.renamed_contracts import calls_without_contract
from dispatch.decide.state import State
from dispatch.entries import RunStarted, Seen
from dispatch.evidence.event_packet import event_document
from dispatch.evidence.loads_seen import LoadsSeen
from dispatch.runtime.inbox_reader import InboxReader
from dispatch.site_file.load import setup_from_document
from dispatch.store.inbox import Inbox, RefusedCalls
from dispatch.store.tables import open_ledger
from dispatch.web.documents import calls_document
from dispatch.web.live_view import LiveView
from markets.facts import Call, CallKind
from optimizer.domain.calls import calls_in_force, events_of
from tests.fakes import NOON
from tests.sites import document, small

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SETUP = small()


def message(id: str, version: int, kind: str, cap: float, start: int, hours: int) -> dict[str, Any]:
    times = {"start_at": (NOON + start * HOUR).isoformat(), "end_at": (NOON + (start + hours) * HOUR).isoformat()}
    figures = {} if kind in ("recall", "cancel") else {"mw_cap": cap}
    return {"id": id, "version": version, "obligation": "plant", "kind": kind, **times, **figures}


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[int]]:
    """The versions of a call, and the order in which they arrive, each at least once."""
    kinds = draw(st.lists(st.sampled_from(["deploy", "test", "recall", "cancel"]), max_size=4))
    caps, starts = st.sampled_from([0.05, 0.1, 0.2]), st.integers(0, 3)
    messages = [message("c", n, kind, draw(caps), draw(starts), draw(st.integers(1, 3))) for n, kind in enumerate(["deploy", *kinds], 1)]
    again = draw(st.lists(st.integers(0, len(messages) - 1), max_size=4))
    return messages, draw(st.permutations([*range(len(messages)), *again]))


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Inbox:
    return Inbox(open_ledger(tmp_path_factory.mktemp("messages")))


def counted(messages: Sequence[dict[str, Any]]) -> tuple[float, str] | None:
    """The cap that counts and its end, by hand: the highest version; a recall ends the highest instruction, a cancel takes it back."""
    newest, order = messages[-1], next(m for m in reversed(messages) if "mw_cap" in m)
    if newest["kind"] == "cancel":
        return None
    ends = min(order["end_at"], newest["start_at"]) if newest["kind"] == "recall" else order["end_at"]
    return (order["mw_cap"], ends) if ends > order["start_at"] else None


@given(deliveries())
def test_any_order_of_the_messages_of_a_call_gives_the_same_call(inbox: Inbox, delivered: tuple[list[dict[str, Any]], list[int]]) -> None:
    messages, order = delivered
    id = f"c{inbox.newest()}"
    view = LiveView(State.start(SETUP, setup_from_document))
    view.state = state_from(view.state, inbox.newest())
    for n in order:
        with suppress(RefusedCalls):  # an end that came before what it ends: its sender sends it again
            inbox.put("call", {**messages[n], "id": id}, "qse")
    for n in order:
        inbox.put("call", {**messages[n], "id": id}, "qse")
    alerts: dict[str, str] = {}
    facts, _, cursor = InboxReader(inbox, VirtualClock(NOON)).read(view.state, NOON, alerts)
    view.fold([(1, Seen(at=NOON, facts=tuple(facts), inbox_cursor=cursor))])
    received = [f for f in facts if isinstance(f, Call)]
    assert not alerts and sorted(c.version for c in received) == [m["version"] for m in messages]

    expected = counted(messages)
    in_loop = [(c.mw_cap, c.end_at.isoformat()) for c in calls_in_force(view.state.calls, "plant") if c.end_at]
    on_page = [(c["mw_cap"], c["id"]) for c in calls_document(view, NOON, shown=("in force", "upcoming"))]
    listed = {c["version"]: c["mw_cap"] for c in calls_document(view, NOON, [(1, c) for c in received])}
    packet = event_document(id, events_of(received)[-1], [], view.state, [], NOON)
    assert in_loop == ([expected] if expected else [])
    assert on_page == ([(expected[0], id)] if expected else [])
    assert listed == {m["version"]: m.get("mw_cap") for m in messages}
    assert (packet["in_force"] is None) == (expected is None)
    if expected:
        assert f"at most {expected[0]:g} MW" in packet["requested"]


def state_from(state: State, cursor: int) -> State:
    return state.after(Seen(at=NOON - HOUR, inbox_cursor=cursor), 0)


def call(version: int, known_days: float, start_days: float, end_days: float | None = None, kind: CallKind = CallKind.DEPLOY) -> Call:
    known, start = NOON + known_days * DAY, NOON + start_days * DAY
    return Call(source="qse", known_at=known, id="c1", version=version, obligation="plant", kind=kind, notice_at=known, start_at=start,
                end_at=None if end_days is None else NOON + end_days * DAY, mw_cap=0.1)  # fmt: skip


def test_an_id_that_is_used_again_is_another_event_and_the_first_one_stays_as_it_was() -> None:
    first, again = call(1, 0.0, 0.0, 0.1), call(2, 21.0, 21.0, 21.1)
    assert calls_in_force([first, again], "plant") == (first, again)
    corrected = call(2, 1.0, 0.05, 0.1)  # of the first event, after it: a correction of it
    assert calls_in_force([first, corrected], "plant") == (corrected,)
    voided = call(2, 1.0, 1.0, kind=CallKind.CANCEL)
    assert calls_in_force([first, voided], "plant") == ()


def test_an_id_used_again_within_the_day_has_its_own_load_at_notice() -> None:
    from dispatch.entries import GroupSeen

    def seen(hour: float, mw: float, *facts: Call) -> Seen:
        fleet = {g.name: GroupSeen(rigs=g.rigs, reachable=g.rigs, load_mw=mw, hashrate_ph=1.0) for g in SETUP.site.groups}
        return Seen(at=NOON + hour * HOUR, fleet=fleet, facts=facts)

    state = State.start(SETUP, setup_from_document)
    state = state.after(seen(-0.1, 0.13), 1).after(seen(0, 0.13, call(1, 0.0, 0.0, 1 / 24)), 2)
    first = state.notice_mw["c1"]
    state = state.after(seen(2, 0.05), 3).after(seen(2.1, 0.05, call(2, 2.1 / 24, 2.1 / 24, 3 / 24)), 4)
    assert state.notice_mw["c1"] < first / 2


def test_a_call_for_now_that_ended_while_the_service_was_down_is_a_missed_event(tmp_path: Path) -> None:
    inbox, clock = Inbox(open_ledger(tmp_path)), SystemClock()
    now = clock.now()
    end = now + timedelta(minutes=5)
    inbox.put("call", {"id": "short", "obligation": "plant", "kind": "deploy", "mw_cap": 0.1, "end_at": end.isoformat()}, "qse")
    restarted = now + timedelta(minutes=20)
    state = State.start(SETUP, setup_from_document).after(Seen(at=now - timedelta(minutes=1)), 1)
    alerts: dict[str, str] = {}

    facts, _, _ = InboxReader(inbox, clock, lambda: restarted).read(state, restarted, alerts)
    (missed,) = [f for f in facts if isinstance(f, Call)]
    assert not alerts and missed.start_at < end < missed.known_at
    packet = event_document("short", [missed], [], state, [LoadsSeen(now - timedelta(minutes=1), {}, {}, frozenset(), {})], restarted)
    assert packet["summary"]["missed"].startswith("missed: the service was down from ")
    assert packet["summary"]["first_command_after_s"] is None


def test_a_call_goes_on_under_the_new_name_of_its_contract_and_is_named_where_there_is_none(tmp_path: Path) -> None:
    def site(name: str, **more: Any) -> Any:
        return setup_from_document(document(obligations=[{"type": "power", "name": name, **more}]))

    old, renamed, changed = site("retail"), site("works"), site("works", adders_usd_per_mwh=2.0)
    for setup, calls_of in ((renamed, "works"), (changed, "retail")):
        state = State.start(old, setup_from_document).after(Seen(at=NOON, facts=(replace(call(1, 0.0, 0.0), obligation="retail"),)), 1)
        run = RunStarted(at=NOON + HOUR, world="live", version="1", config_hash=setup.hash_id, token=2, config=setup.document)
        state = state.after(run, 2)
        assert [c.obligation for c in state.calls] == [calls_of]
        assert ("nothing obeys call c1" in calls_without_contract(state.calls, setup.book, NOON)) == (setup is changed)
    inbox = Inbox(open_ledger(tmp_path))
    inbox.put("call", {"id": "c1", "obligation": "retail", "kind": "deploy", "mw_cap": 0.1}, "qse")
    state = State.start(old, setup_from_document).after(Seen(at=NOON), 1)
    run = RunStarted(at=NOON + HOUR, world="live", version="1", config_hash=renamed.hash_id, token=2, config=renamed.document)
    facts, _, _ = InboxReader(inbox, VirtualClock(NOON)).read(state.after(run, 2), NOON + HOUR, {})
    assert [f.obligation for f in facts if isinstance(f, Call)] == ["works"]
