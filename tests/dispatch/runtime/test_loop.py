"""The loop in a simulated world: whole days, seeded, with faults, crashes and dead lines."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.clock import WallClock
from dispatch.decide.state import State
from dispatch.entries import Commanded, Entry, Planned, PriceBasisChanged, RunStarted, Seen, canonical_json, entry_to_json
from dispatch.rigs.controller import RigController
from dispatch.runtime import loop
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.planner import InlinePlanner
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.redecide import redecide
from dispatch.runtime.world import World
from dispatch.service.replay import run_started
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.fleet import Answers, Fleet
from dispatch.sim.spec import RigFault, ScheduledFault, spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.store import JournalLost
from dispatch.store.inbox import Inbox
from dispatch.store.journal import MemoryJournal
from dispatch.store.tables import open_ledger
from markets.facts import Call, CallKind, Price
from tests.dispatch.worlds import world
from tests.fakes import NOON, DiscardedTelemetry, FixedSource, hashprice, price, prices
from tests.sites import small

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BEFORE = NOON - 2 * HOUR


def wild(seed: int, hours: int, low: float = 20.0, high: float = 140.0) -> list[Price]:
    r = random.Random(seed)
    return prices([round(r.uniform(low, high), 2) for _ in range(4 * (hours + 2))], BEFORE)


async def ran(made: Any, journal: Any, setup: Any, hours: float, start: datetime = NOON) -> State:
    state = State.start(setup, setup_from_document)
    return await loop.run(made, journal, state, run_started("replay", setup, made.clock.now(), 1), start + hours * HOUR)


def entries(journal: MemoryJournal) -> Iterator[Entry]:
    return (entry for _, entry in journal.read())


def fleet_of(setup: Any, *faults: ScheduledFault, seed: int = 0) -> Fleet:
    return Fleet(spec_of(setup.site.groups).with_faults(faults), seed, NOON.timestamp())


def awake(fleet: Fleet, setup: Any) -> dict[str, int]:
    return {g.name: sum(m != "sleep" for m in fleet.modes(g.name, np.arange(g.rigs))) for g in setup.site.groups}


async def test_when_a_price_that_crosses_a_breakeven_is_published_the_rigs_follow() -> None:
    """62.9 $/MWh stops the old rigs, 107.8 the new ones. A price of [t, t+15) is known at t+17 and acted on then, between two ticks."""
    setup = small()
    usd = [30.0] * 8 + [80.0, 150.0, 80.0, 30.0, 30.0]
    fleet, journal, found = fleet_of(setup), MemoryJournal(), []
    made = world(setup, NOON, [*prices(usd, BEFORE), hashprice(45.0, NOON)], fleet=fleet)
    state = State.start(setup, setup_from_document)

    async def after(at: datetime, _: State) -> None:
        found.append((at, awake(fleet, setup)))

    await loop.run(made, journal, state, run_started("replay", setup, NOON, 1), NOON + 80 * MINUTE, after)
    seen = dict(found)
    expected = {5: (40, 40), 20: (0, 40), 35: (0, 0), 50: (0, 40), 65: (40, 40)}
    assert {m: tuple(seen[NOON + m * MINUTE].values()) for m in expected} == expected
    moved = {(entry.at - NOON) // MINUTE for entry in entries(journal) if isinstance(entry, Commanded) and entry.orders}
    assert moved == {17, 32, 47, 62}


async def test_hours_with_faulty_rigs_decide_the_same_twice_and_again_from_the_journal() -> None:
    setup = small()
    faults = [
        ScheduledFault(RigFault.NO_EFFECT, "a-old", rate=0.1),
        ScheduledFault(RigFault.WAKES_BY_ITSELF, "b-new", rate=0.1),
        ScheduledFault(RigFault.HANGS, rate=0.05),
    ]
    heads = []
    for seed in (3, 3, 4):
        journal = MemoryJournal()
        made = world(setup, NOON, [*wild(seed, 8), hashprice(45.0, NOON)], faults=faults, seed=seed)
        await ran(made, journal, setup, 8)
        heads.append([canonical_json(entry_to_json(e)) for e in entries(journal) if isinstance(e, Commanded | Seen)])
    assert heads[0] == heads[1] != heads[2]
    again = redecide(journal.read())
    assert again.findings == [] and again.commands > 10 and again.plans > 30


async def test_a_changed_decision_is_found() -> None:
    setup, journal, forged = small(), MemoryJournal(), MemoryJournal()
    await ran(world(setup, NOON, [*wild(5, 3), hashprice(45.0, NOON)]), journal, setup, 3)
    for entry in entries(journal):
        if isinstance(entry, Commanded):
            order = entry.orders[0]
            entry = Commanded(**{**_fields(entry), "orders": (type(order)(**{**_fields(order), "rigs": "0-3"}), *entry.orders[1:])})
        forged.append(entry)
    assert any("orders" in f.text for f in redecide(forged.read()).findings)


def _fields(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__dataclass_fields__}


def noon_call(**more: Any) -> Call:
    values: dict[str, Any] = {
        "source": "qse", "known_at": NOON + HOUR, "id": "c1", "version": 1, "obligation": "plant", "kind": CallKind.DEPLOY,
        "notice_at": NOON + HOUR, "start_at": NOON + HOUR, "mw_cap": 0.1,
    }  # fmt: skip
    return Call(**{**values, **more})


async def test_a_call_caps_the_load_from_the_next_tick_until_its_recall() -> None:
    setup = small()
    recall = noon_call(kind=CallKind.RECALL, known_at=NOON + 2 * HOUR, start_at=NOON + 2 * HOUR, mw_cap=None)
    facts = [*prices([-20.0] * 24, BEFORE), hashprice(45.0, NOON), noon_call(), recall]
    fleet, journal, loads = fleet_of(setup), MemoryJournal(), {}
    made = world(setup, NOON, facts, fleet=fleet)

    async def after(at: datetime, _: State) -> None:
        loads[at] = sum(float(np.nansum(fleet.truth(g.name, np.arange(g.rigs))[0])) for g in setup.site.groups) / 1e6

    await loop.run(made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, 1), NOON + 3 * HOUR, after)
    during = [mw for at, mw in loads.items() if NOON + HOUR <= at < NOON + 2 * HOUR]
    assert len(during) == 60 and max(during) <= 0.1  # it looks every minute while a promise is called on
    assert min(mw for at, mw in loads.items() if at < NOON + HOUR) > 0.25
    assert min(mw for at, mw in loads.items() if at >= NOON + 2 * HOUR + 5 * MINUTE) > 0.25


async def test_every_change_of_price_basis_is_in_the_journal() -> None:
    """Real-time prices stop at noon; day-ahead prices reach until 13:30; a price of the last day stands in; then the safe state."""
    site = {"name": "S", "market": "ercot", "settlement_point": "LZ_WEST", "interconnect_mw": 1.0, "safe_state": "sleep"}
    setup = small(site=site)
    ahead = [price(25.0, NOON + k * HOUR, minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - HOUR) for k in range(-1, 2)]
    told = FixedSource([*prices([30.0] * 8, BEFORE), *ahead, hashprice(45.0, NOON)], broken=(NOON + 10 * MINUTE, NOON + 30 * HOUR))
    back = FixedSource(prices([30.0] * 9, NOON + 29 * HOUR), name="back")
    journal, fleet = MemoryJournal(), fleet_of(setup)
    made = world(setup, NOON, sources=[told, back], fleet=fleet)
    state = await ran(made, journal, setup, 31)
    price_bases = [(e.price_basis, e.at - NOON) for e in entries(journal) if isinstance(e, PriceBasisChanged)]
    assert [r for r, _ in price_bases] == ["day-ahead", "persistence", "safe-state", "real-time"]
    assert [d for _, d in price_bases[:2]] == [20 * MINUTE + 5 * MINUTE, 2 * HOUR]
    alerted = [e for e in entries(journal) if isinstance(e, Seen) and e.alerts]
    assert alerted and "the line is dead" in alerted[0].alerts["telling"]
    asleep_at = next(e.at for e in entries(journal) if isinstance(e, Commanded) and all(o.mode == "sleep" for o in e.orders))
    assert asleep_at - NOON == price_bases[2][1]
    assert awake(fleet, setup) == {"a-old": 40, "b-new": 40} and state.price_basis == "real-time"


class Failing(MemoryJournal):
    """A journal whose disk is full for some appends."""

    def __init__(self, fails: range) -> None:
        super().__init__()
        self.fails, self.tried = fails, 0

    def append(self, entry: Entry) -> int:
        self.tried += 1
        if self.tried in self.fails:
            raise JournalLost("disk is full")
        return super().append(entry)


class Witness(Fleet):
    """A fleet that remembers how long the journal was at each order it was given."""

    def __init__(self, setup: Any, journal: MemoryJournal) -> None:
        super().__init__(spec_of(setup.site.groups), 0, NOON.timestamp())
        self.journal, self.told_at = journal, []  # type: ignore[var-annotated]

    def command(self, group: str, rigs: Any, mode: str) -> Answers:
        self.told_at.append(self.journal.tail)
        return super().command(group, rigs, mode)


async def test_no_row_no_command() -> None:
    setup = small()
    journal = Failing(range(3, 9))
    fleet = Witness(setup, journal)
    made = world(setup, NOON, [*prices([80.0] * 16, BEFORE), hashprice(45.0, NOON)], fleet=fleet)
    await ran(made, journal, setup, 0.5)
    assert journal.tried > 9 and fleet.told_at
    kinds = [type(e) for e in entries(journal)]
    assert all(kinds[tail - 1] is Commanded for tail in fleet.told_at)


class Crash(Exception):
    pass


class Crashing(MemoryJournal):
    """Dies at the nth append: before the row is durable, or right after."""

    def __init__(self, rows: list[Entry], at: int, after: bool) -> None:
        super().__init__()
        for row in rows:
            super().append(row)
        self.left, self.after = at, after

    def append(self, entry: Entry) -> int:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        seq = super().append(entry)
        if self.left == 0:
            raise Crash
        return seq


@settings(max_examples=12)
@given(seed=st.integers(0, 2**16), at=st.integers(2, 60), after=st.booleans())
async def test_after_a_crash_at_any_row_the_same_decisions_follow(seed: int, at: int, after: bool) -> None:
    """The rigs go on while the process is dead; the next one reads them first.

    From the tick after the restart all rigs are where they would have been, and no command id was used twice.
    """
    setup = small()
    facts = [*wild(seed, 4), hashprice(45.0, NOON)]

    async def undisturbed() -> dict[str, int]:
        fleet = fleet_of(setup)
        await ran(world(setup, NOON, facts, fleet=fleet), MemoryJournal(), setup, 4)
        return awake(fleet, setup)

    fleet, journal = fleet_of(setup), Crashing([], at, after)
    made = world(setup, NOON, facts, fleet=fleet)
    try:
        await ran(made, journal, setup, 4)
    except Crash:
        rows = list(entries(journal))
        journal = Crashing(rows, 10**9, False)
        # A process starts again at the next tick at the earliest, with the same rigs.
        later = world(setup, loop.next_tick(made.clock.now(), setup.site.tick_s), facts, fleet=fleet)
        if later.clock.now() < NOON + 4 * HOUR:
            await ran(later, journal, setup, 4)
    assert awake(fleet, setup) == await undisturbed()
    assert redecide(journal.read()).findings == []
    ids = [o.id for e in entries(journal) if isinstance(e, Commanded) for o in e.orders]
    assert len(ids) == len(set(ids))
    assert sum(isinstance(e, RunStarted) for e in entries(journal)) in (1, 2)


async def test_plans_come_back_as_entries_that_name_their_inputs() -> None:
    setup, journal = small(), MemoryJournal()
    await ran(world(setup, NOON, [*wild(1, 2), hashprice(45.0, NOON)]), journal, setup, 2)
    plans = [(seq, e) for seq, e in journal.read() if isinstance(e, Planned)]
    assert plans and all(e.as_of < seq and e.plan is not None for seq, e in plans)


async def test_a_call_does_not_wait_for_a_rig_that_hangs(tmp_path: Path) -> None:
    """A third of the rigs lie; the controller would try them for a minute. A call that comes meanwhile is acted on at once."""
    setup = small()
    clock = WallClock(NOON, speed=1.0)
    fleet = fleet_of(setup, ScheduledFault(RigFault.NO_EFFECT, "a-old", rate=0.3))
    controller = RigController(setup.site, simulated_drivers(fleet, clock), clock, DiscardedTelemetry())
    inbox = Inbox(open_ledger(tmp_path))
    facts = [*prices([80.0] * 16, BEFORE), hashprice(45.0, NOON)]
    made = World(
        "live",
        clock,
        SiteObserver(clock, [PolledSource(FixedSource(facts))], controller, inbox, refresh_each_tick=True),
        controller,
        InlinePlanner(),
    )
    journal = MemoryJournal()
    running = asyncio.create_task(ran(made, journal, setup, 1))
    try:
        async with asyncio.timeout(30):
            while not any(isinstance(e, Commanded) for e in entries(journal)):
                await asyncio.sleep(0.05)
            inbox.put("call", {"id": "c1", "obligation": "plant", "kind": "deploy", "mw_cap": 0.0}, "test")
            while sum(awake(fleet, setup).values()) > 12:  # the liars among 80
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    first, second = [e for e in entries(journal) if isinstance(e, Commanded)][:2]
    assert (second.at - first.at).total_seconds() < 20
    assert "c1" in second.reasons[0]
