"""The site as a link reaches it: set points that end each other, a restart, a silence, a key `link_loss` that is obeyed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.runtime.inbox_reader import InboxReader
from dispatch.signals.links.link_sections import links_of
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.site_file.load import setup_from_document
from dispatch.store.inbox import Inbox
from dispatch.store.tables import open_ledger
from optimizer.domain.calls import calls_in_force
from tests.fakes import NOON
from tests.sites import document

LINK = {"name": "desk", "kind": "modbus", "obligation": "plant", "listen": "127.0.0.1:502", "silent_after_s": 10.0}


def linked(data: Path, clock: VirtualClock, **site: Any) -> tuple[LinkedSite, Inbox]:
    setup = setup_from_document(document(site={**document()["site"], **site}, links=[LINK]))
    inbox = Inbox(open_ledger(data))
    return LinkedSite(links_of(setup)[0], setup, inbox, clock, lambda: None), inbox


def state_of(link: LinkedSite, inbox: Inbox, clock: VirtualClock) -> State:
    state = State.start(link._setup, setup_from_document)
    facts, holds, _ = InboxReader(inbox, clock).read(state, clock.now(), {})
    return state.after(Seen(at=clock.now(), facts=tuple(facts), holds=holds), 1)


async def test_one_set_point_is_in_force_at_a_time_and_the_bill_knows_each(tmp_path: Path) -> None:
    clock = VirtualClock(NOON)
    link, inbox = linked(tmp_path, clock)
    for n, mw in enumerate([0.2, 0.1, 0.1, 0.15]):
        await clock.sleep_until(NOON + timedelta(seconds=4 * n))
        assert link.set_point(mw).accepted
    await clock.sleep_until(NOON + timedelta(seconds=16))
    calls = calls_in_force(state_of(link, inbox, clock).calls, "plant")
    spans = [(c.mw_target, c.start_at - NOON, c.end_at and c.end_at - NOON) for c in calls]
    s = [timedelta(seconds=n) for n in range(20)]
    assert spans == [(0.2, s[0], s[4]), (0.1, s[4], s[12]), (0.15, s[12], None)]
    again, _ = linked(tmp_path, clock)
    again.resume(inbox.newest_calls_by("link desk", 100))
    assert again.standing_mw() == 0.15 and again.release().accepted and again.release().repeated
    assert all(c.end_at for c in calls_in_force(state_of(link, inbox, clock).calls, "plant"))


async def test_what_is_no_load_is_no_set_point(tmp_path: Path) -> None:
    link, inbox = linked(tmp_path, VirtualClock(NOON))
    for mw in (float("nan"), float("inf"), -1.0, 400.0):
        assert not link.set_point(mw).accepted
    assert inbox.newest() == 0 and link.standing_mw() is None


async def test_a_silent_link_is_an_alarm_and_link_loss_is_obeyed_until_it_is_heard(tmp_path: Path) -> None:
    for loss, mode in (("hold", None), ("sleep", "sleep"), ("run", "normal")):
        clock, data = VirtualClock(NOON), tmp_path / loss
        data.mkdir()
        link, inbox = linked(data, clock, link_loss=loss)
        link.set_point(0.1)
        link.watch(NOON)
        assert not link.alert(clock.now())
        await clock.sleep_until(NOON + timedelta(seconds=11))
        link.watch(clock.now())
        assert "0.1 MW stays in force" in link.alert(clock.now())
        state = state_of(link, inbox, clock)
        assert len(calls_in_force(state.calls, "plant")) == 1
        assert {h.mode for h in state.holds.values()} == ({mode} if mode else set())
        link.heard()
        assert not link.alert(clock.now()) and not state_of(link, inbox, clock).holds
