"""What the state keeps of calls."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from dispatch.decide.state import State
from dispatch.entries import GroupSeen, Seen
from dispatch.site_file.load import setup_from_document
from markets.facts import Call, CallKind
from optimizer.domain.calls import calls_in_force
from tests.fakes import NOON
from tests.sites import small

HOUR = timedelta(hours=1)


def test_the_load_at_notice_is_forgotten_with_its_call() -> None:
    """An id that is used again weeks later was judged from the load at its first use."""
    call = Call(source="qse", known_at=NOON, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=NOON, start_at=NOON,
                end_at=NOON + HOUR, mw_delta=0.1)  # fmt: skip
    state = State.start(small(), setup_from_document).after(Seen(at=NOON, facts=(call,)), 1)
    assert set(state.after(Seen(at=NOON + HOUR), 2).notice_mw) == {"c1"}
    later = state.after(Seen(at=NOON + 72 * HOUR), 2).after(Seen(at=NOON + 73 * HOUR), 3)
    assert later.calls == () and later.notice_mw == {}


def test_a_reduction_counts_from_the_load_at_its_notice_and_binds_nothing_before() -> None:
    """A call that is known hours before its notice counted from the load when it came: from rigs that were not up yet, as from nothing."""
    notice = NOON + 2 * HOUR
    call = Call(source="qse", known_at=NOON, id="c1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=notice,
                start_at=notice, end_at=notice + HOUR, mw_delta=0.05)  # fmt: skip
    setup = small()
    full = {g.name: g.rigs * g.full.watts / 1e6 for g in setup.site.groups}

    def seen(state: State, at: datetime, share: float, *facts: Call) -> State:
        fleet = {name: GroupSeen(rigs=1, reachable=1, load_mw=share * mw, hashrate_ph=0.0) for name, mw in full.items()}
        return state.after(Seen(at=at, fleet=fleet, facts=facts), state.seq + 1)

    state = seen(State.start(setup, setup_from_document), NOON, 0.0, call)
    assert state.notice_mw == {}
    state = seen(state, notice - timedelta(minutes=1), 1.0)
    assert state.notice_mw == {}
    state = seen(state, notice, 0.5)
    before_mw = sum(mw * state.overhead(name, notice) for name, mw in full.items())
    assert state.notice_mw["c1"] == pytest.approx(before_mw), "as it was last seen before the notice"
    assert seen(state, notice + timedelta(minutes=1), 0.2).notice_mw == state.notice_mw


def _version(version: int, kind: CallKind = CallKind.DEPLOY, days: float | None = None, at_h: int = 0) -> Call:
    """A version of the call "c1" that ends `days` after its start, never when None."""
    at = NOON + at_h * HOUR
    end = None if days is None or kind is CallKind.CANCEL else NOON + days * 24 * HOUR
    return Call(source="qse", known_at=at, id="c1", version=version, obligation="plant", kind=kind, notice_at=at, start_at=at, end_at=end,
                mw_cap=None if kind in (CallKind.CANCEL, CallKind.RECALL) else 0.1)  # fmt: skip


@pytest.mark.parametrize(
    "last",
    [_version(2, days=0.1, at_h=1), _version(2, CallKind.CANCEL, at_h=1), _version(2, CallKind.RECALL, days=0.1, at_h=1)],
)
@pytest.mark.parametrize("first_days", [None, 6.0])
def test_no_version_outlives_the_one_that_ended_its_call(last: Call, first_days: float | None) -> None:
    """A call was shortened, cancelled or recalled: that version was forgotten first and the older one counted again, or stayed for ever."""
    state = State.start(small(), setup_from_document)
    for n, facts in enumerate([(_version(1, days=first_days),), (last,), (), (), (), ()]):
        at = NOON + (n * 24 if n > 1 else n) * HOUR
        state = state.after(Seen(at=at, facts=facts), n + 1)
        assert not [c for c in calls_in_force(state.calls, "plant") if n > 1 and (c.end_at is None or c.end_at > at)]
    assert state.calls == ()
