"""How a run begins and ends, and a complete replay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import structlog

from dispatch.clock import VirtualClock
from dispatch.decide.state import State
from dispatch.entries import RunEnded, RunStarted
from dispatch.runtime import loop
from dispatch.runtime.loop import AfterTick
from dispatch.runtime.world import World
from dispatch.service.nightly_settlement import NightlySettlement, settle_and_write
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import Journal
from markets.grid import OperatingDay
from optimizer.domain.memory import Memory

log = structlog.get_logger()

END_WAIT = timedelta(minutes=6)
END_WAIT_WALL_S = 5.0
LEASE_S = 60.0  # a replay's writes are fenced by its token, not by time


def run_started(world: str, setup: Setup, at: datetime, token: int, memories: Mapping[str, Memory] | None = None) -> RunStarted:
    """The first entry of a run. `memories` is what contracts remember of the time before."""
    try:
        ours = version("loadstone")
    except PackageNotFoundError:
        ours = "source"
    told = {name: memory.to_json() for name, memory in (memories or {}).items()}
    return RunStarted(at=at, world=world, version=ours, config_hash=setup.hash_id, token=token, config=setup.document, memories=told)


async def observe_end(world: World, journal: Journal, state: State, until: datetime) -> State:
    """Record the end and observe once more after it, without a decision, so that the last interval's price and readings are in the journal.
    In real time that price is waited for only when the run ends with an operating day, whose statement needs it."""
    ended = RunEnded(at=until)
    state = state.after(ended, journal.append(ended))
    wait, market = END_WAIT, state.site.market
    ends_a_day = OperatingDay.of(market, until).start == until
    if not ends_a_day and wait.total_seconds() > END_WAIT_WALL_S * world.clock.speed:
        wait = timedelta(seconds=END_WAIT_WALL_S * world.clock.speed)
    at = until + wait
    await world.clock.sleep_until(at)
    seen = await world.observer.observe(at, state)
    return state.after(seen, journal.append(seen))


async def replay(setup: Setup, data: Path, start: datetime, end: datetime, seed: int = 0, progress: AfterTick | None = None) -> State:
    """The loop over archived facts from `start` to `end`, as fast as it goes; journal, telemetry and settlements land in `data`."""
    from dispatch.runtime.assemble import replay as world_of
    from dispatch.runtime.price_forecasts import newest_models
    from dispatch.runtime.recovery import StateSnapshots
    from dispatch.settlement.memories_before import memories_at_start
    from dispatch.store import LedgerUnavailable, lease
    from dispatch.store.inbox import Inbox
    from dispatch.store.journal import SqlJournal
    from dispatch.store.tables import open_ledger
    from dispatch.store.telemetry import Telemetry
    from dispatch.store.telemetry_hours import close_hours

    engine = open_ledger(data)
    token = lease.take(engine, f"replay {os.getpid()}", LEASE_S)
    if token is None:
        raise LedgerUnavailable(f"another process holds the leader lease of {data}")
    telemetry = Telemetry(data / "telemetry", setup.site)
    clock = VirtualClock(start)
    assembled = world_of(setup, clock, telemetry, Inbox(engine), seed=seed, newest_model=newest_models(engine))
    journal = SqlJournal(engine, token)
    nightly, snapshots = NightlySettlement(setup, data, engine, telemetry, at_once=True), StateSnapshots(engine, setup)

    async def after(at: datetime, state: State) -> None:
        await snapshots(at, state)
        await nightly(at, state)
        if progress is not None:
            await progress(at, state)

    state = snapshots.recovered(State.start(setup, setup_from_document))
    started = run_started("replay", setup, start, token, memories_at_start(engine, telemetry, setup, start))
    state = await loop.run(assembled.world, journal, state, started, end, after)
    state = await observe_end(assembled.world, journal, state, end)
    telemetry.flush()
    last = OperatingDay.of(setup.site.market, end - timedelta(seconds=1))
    settle_and_write(setup, data, engine, telemetry, last)
    close_hours(engine, telemetry.folder, clock.now() + timedelta(hours=2))
    await assembled.controller.close()
    lease.release(engine, token)
    return state
