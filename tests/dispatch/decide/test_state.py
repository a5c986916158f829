"""What the state keeps of calls."""

from __future__ import annotations

from datetime import timedelta

from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.site_file.load import setup_from_document
from markets.facts import Call, CallKind
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
