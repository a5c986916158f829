"""The end of a run: how long the last interval's price is waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.service.replay import END_WAIT, END_WAIT_WALL_S, observe_end
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal
from tests.dispatch.worlds import world
from tests.fakes import NOON
from tests.sites import small

MIDNIGHT = datetime(2026, 8, 21, 5, 0, tzinfo=UTC)  # in Texas


class Paced(VirtualClock):
    """A clock that jumps, and says that it has a pace."""

    def __init__(self, start: datetime, speed: float) -> None:
        super().__init__(start)
        self.speed = speed


@pytest.mark.parametrize(
    ("until", "speed", "wait"),
    [
        (NOON, float("inf"), END_WAIT),
        (NOON, 300.0, END_WAIT),
        (NOON, 1.0, timedelta(seconds=END_WAIT_WALL_S)),
        (MIDNIGHT, 1.0, END_WAIT),
    ],
)
async def test_a_run_in_real_time_waits_for_the_last_price_only_at_the_end_of_a_day(until: datetime, speed: float, wait: timedelta) -> None:
    setup, journal = small(), MemoryJournal()
    made = replace(world(setup, until), clock=Paced(until, speed))
    state = await observe_end(made, journal, State.start(setup, setup_from_document), until)
    assert state.seen_at == until + wait == made.clock.now()
