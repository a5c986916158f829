"""What a run is made of besides its world: how it begins, how it closes, and a whole replay."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.entries import RunStarted
from dispatch.runtime import loop
from dispatch.runtime.loop import AfterTick
from dispatch.runtime.world import World
from dispatch.service.nightly_settlement import Nightly, settle_and_write
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import Journal
from markets.grid import OperatingDay

log = structlog.get_logger()

CLOSING = timedelta(minutes=6)
CLOSING_WALL_S = 5.0
LEASE_S = 60.0  # a replay's writes are fenced by its token, not by time


def run_started(world: str, setup: Setup, at: datetime, token: int) -> RunStarted:
    try:
        ours = version("loadstone")
    except PackageNotFoundError:
        ours = "source"
    return RunStarted(at=at, world=world, version=ours, config_hash=setup.hash_id, token=token, config=setup.document)


async def closing_look(world: World, journal: Journal, state: State, until: datetime) -> State:
    """One look after the end, without decisions, so that the last interval's price and the last readings are in the journal. Where
    time runs at the wall's pace that price is only waited for when a whole day's statement hangs on it."""
    wait, market = CLOSING, state.site.market
    whole_day = OperatingDay.of(market, until).start == until
    if not whole_day and wait.total_seconds() > CLOSING_WALL_S * world.clock.speed:
        wait = timedelta(seconds=CLOSING_WALL_S * world.clock.speed)
    at = until + wait
    await world.clock.sleep_until(at)
    seen = await world.observer.observe(at, state)
    return state.after(seen, journal.append(seen))


async def replay(setup: Setup, data: Path, start: datetime, end: datetime, seed: int = 0, progress: AfterTick | None = None) -> State:
    """The loop over archived facts from `start` to `end`, as fast as it goes; journal, telemetry and settlements land in `data`."""
    from dispatch.runtime.assemble import replay as world_of
    from dispatch.store import LedgerUnavailable, lease
    from dispatch.store.inbox import Inbox
    from dispatch.store.journal import SqlJournal
    from dispatch.store.tables import open_ledger
    from dispatch.store.telemetry import Telemetry

    engine = open_ledger(data)
    token = lease.take(engine, f"replay {os.getpid()}", LEASE_S)
    if token is None:
        raise LedgerUnavailable(f"another process leads {data}")
    telemetry = Telemetry(data / "telemetry", setup.site)
    clock = VirtualClock(start)
    assembled = world_of(setup, clock, telemetry, Inbox(engine), seed=seed)
    journal = SqlJournal(engine, token)
    nightly = Nightly(setup, data, engine, telemetry, at_once=True)

    async def after(at: datetime, state: State) -> None:
        await nightly(at, state)
        if progress is not None:
            await progress(at, state)

    state = State.start(setup, setup_from_document)
    state = await loop.run(assembled.world, journal, state, run_started("replay", setup, start, token), end, after)
    state = await closing_look(assembled.world, journal, state, end)
    telemetry.flush()
    last = OperatingDay.of(setup.site.market, end - timedelta(seconds=1))
    settle_and_write(setup, data, engine, telemetry, last)
    await assembled.crew.close()
    lease.release(engine, token)
    return state
