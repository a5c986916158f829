"""The clock of the machine is set while the site runs, forward and back: the step is noticed, told, and survived."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from dispatch.clock import SystemClock, VirtualClock
from dispatch.decide.state import State
from dispatch.entries import Commanded, Seen
from dispatch.runtime import loop
from dispatch.service.leadership import LEASE_S, RENEWED_EVERY_S, LeaseWatch
from dispatch.service.replay import run_started
from dispatch.site_file.load import setup_from_document
from dispatch.store import lease
from dispatch.store.dialect import db_now_s
from dispatch.store.journal import MemoryJournal
from dispatch.store.tables import lease as lease_table
from dispatch.store.tables import writing
from markets.facts import Call, CallKind
from tests.dispatch.store.conftest import engine as engine  # the fixture of the ledger's tests
from tests.dispatch.worlds import world
from tests.fakes import NOON, FixedSource, hashprice, prices
from tests.sites import small

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
STEP_AT = NOON + HOUR


@dataclass(slots=True)
class Machine:
    """A machine's two clocks, as tests set them."""

    wall_s: float = NOON.timestamp()
    monotonic_s: float = 100.0

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall_s, lambda: self.monotonic_s)


@pytest.mark.parametrize("step_s", [600.0, -600.0, 86_400.0, -3600.0])
async def test_the_system_clock_follows_a_step_and_tells_it_once(step_s: float) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.monotonic_s += 60.0
    machine.wall_s += 60.0 + step_s
    assert clock.now() == NOON + timedelta(seconds=60 + step_s)
    assert clock.stepped() == timedelta(seconds=step_s) and clock.stepped() == timedelta(0)
    machine.wall_s += 0.5  # drift
    assert clock.stepped() == timedelta(0)


@pytest.mark.parametrize("step_s", [600.0, -600.0])
async def test_a_sleeper_wakes_when_the_clock_is_set(step_s: float) -> None:
    machine = Machine()
    sleeping = asyncio.create_task(machine.clock().sleep_until(NOON + 5 * MINUTE))
    await asyncio.sleep(0.05)
    machine.wall_s += step_s
    await asyncio.wait_for(sleeping, 10)


class SetClock(VirtualClock):
    """A virtual clock that is set once, when STEP_AT is reached."""

    def __init__(self, start: datetime, step: timedelta) -> None:
        super().__init__(start)
        self.step, self.pending, self.is_set = step, timedelta(0), False

    async def sleep_until(self, at: datetime) -> None:
        await super().sleep_until(at)
        if not self.is_set and self._now >= STEP_AT:
            self._now, self.pending, self.is_set = self._now + self.step, self.step, True

    def stepped(self) -> timedelta:
        step, self.pending = self.pending, timedelta(0)
        return step


class CallAfterStep(FixedSource):
    """Calls for no load, from now on, as soon as it is asked after the step."""

    def __init__(self, clock: SetClock) -> None:
        super().__init__([], name="operator")
        self.clock = clock
        self.called_at: datetime | None = None

    async def fetch(self, since: datetime, until: datetime) -> list[Call]:  # type: ignore[override]
        if not self.clock.is_set or self.called_at is not None:
            return []
        self.called_at = until
        call = Call(
            source="operator",
            known_at=until,
            id="c1",
            version=1,
            obligation="plant",
            kind=CallKind.DEPLOY,
            notice_at=until,
            start_at=until,
            end_at=until + HOUR,
            mw_cap=0.0,
        )
        return [call]


@pytest.mark.parametrize("step", [10 * MINUTE, -10 * MINUTE])
async def test_after_a_step_a_call_for_now_is_obeyed_at_the_same_tick_and_the_step_is_told(step: timedelta) -> None:
    setup, clock, journal = small(), SetClock(NOON, step), MemoryJournal()
    source = CallAfterStep(clock)
    facts = [*prices([30.0] * 20, NOON - HOUR), hashprice(45.0, NOON)]
    made = world(setup, NOON, facts, sources=[source], clock=clock)
    await loop.run(made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, 1), NOON + 2 * HOUR)
    entries = [entry for _, entry in journal.read()]
    told = [e for e in entries if isinstance(e, Seen) and "clock" in e.alerts]
    way = "forward" if step > timedelta(0) else "back"
    assert told and told[0].at == STEP_AT + step == source.called_at
    assert told[0].alerts["clock"].startswith(f"the clock was set {way} by 10.0 min")
    asleep = [e for e in entries if isinstance(e, Commanded) and e.orders and all(o.mode == "sleep" for o in e.orders)]
    assert asleep and asleep[0].at == source.called_at


def test_a_lease_whose_holder_died_before_the_clock_was_set_back_is_taken(engine: Engine) -> None:
    assert lease.take(engine, "dead", LEASE_S) == 1
    with writing(engine) as connection:  # the clock is set back by an hour: the lease seems to last an hour
        connection.execute(update(lease_table).values(until_s=db_now_s() + 3600.0))
    now_s = [0.0]
    watch = LeaseWatch(engine, "new", lambda: now_s[0])
    assert watch.take() is None
    now_s[0] = 2 * LEASE_S + 1
    assert watch.take() == 2


@pytest.mark.parametrize("clock_step_s", [3600.0, -3600.0])
def test_a_lease_that_is_renewed_is_never_taken_whatever_the_clock_says(engine: Engine, clock_step_s: float) -> None:
    assert lease.take(engine, "alive", LEASE_S) == 1
    now_s = [0.0]
    watch = LeaseWatch(engine, "new", lambda: now_s[0])
    for _ in range(5):
        # As the row reads after the database's clock was set by so much; that clock counts milliseconds, and no time passes in this test.
        assert lease.renew(engine, 1, LEASE_S - clock_step_s + now_s[0])
        assert watch.take() is None
        now_s[0] += RENEWED_EVERY_S


def test_a_lease_that_was_released_is_taken_at_once(engine: Engine) -> None:
    assert lease.take(engine, "ended", LEASE_S) == 1
    lease.release(engine, 1)
    assert LeaseWatch(engine, "new", lambda: 0.0).take() == 2
