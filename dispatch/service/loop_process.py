"""The process that runs a site: it takes the leader lease, runs the control loop, and renews the lease and saves telemetry meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Engine

from dispatch.clock import Clock, HeldClock, wall_s
from dispatch.decide.state import State
from dispatch.entries import RunEnded, RunStarted
from dispatch.rigs.dialects import dialect_and_wire_model
from dispatch.rigs.driver_sections import TcpSettings, driver_settings
from dispatch.rigs.rig_identities import FILE as IDENTITIES_FILE
from dispatch.rigs.roster import addresses
from dispatch.rigs.wire import PORTS
from dispatch.runtime import loop
from dispatch.runtime.assemble import Assembled, live
from dispatch.runtime.price_forecasts import newest_models
from dispatch.runtime.recovery import StateSnapshots
from dispatch.service.head_publication import publish_daily
from dispatch.service.leadership import LeaseFence, holds_lease, renew_lease, take_lease
from dispatch.service.nightly_settlement import NightlySettlement
from dispatch.service.replay import observe_end, run_started
from dispatch.service.scheduled_training import train_on_schedule
from dispatch.service.supervisor import ANOTHER_LEADS, Job
from dispatch.signals import watched_folder
from dispatch.site_file.load import load_site_file, setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import JournalLost, LeadershipLost, LedgerUnavailable, lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.reserve import keep_reserve
from dispatch.store.spare_journal import SpareJournal
from dispatch.store.stop_file import StopFile
from dispatch.store.tables import open_ledger
from dispatch.store.telemetry import Telemetry
from dispatch.store.telemetry_hours import close_hours, drop_hours
from markets.grid import parse_instant

log = structlog.get_logger()

RIGS_WITHIN_S = 10.0  # wall seconds


@dataclass(frozen=True, slots=True)
class LeadingProcess:
    """What the process that leads a site is made of."""

    setup: Setup
    data: Path
    clock: Clock
    engine: Engine
    token: int
    telemetry: Telemetry
    assembled: Assembled
    settlement: NightlySettlement


async def lead(job: Job, clock: Clock) -> int:
    """Wait for the leader lease, then run the site. Returns the exit status: 0 at the job's end, 3 when another process took the lease."""
    setup, data = load_site_file(job.config, job.override), Path(job.data)
    engine = open_ledger(data)
    token, inbox, stop = await take_lease(engine, job.owner), Inbox(engine), StopFile(data)
    fence = LeaseFence(engine, token, stop)
    keep_reserve(data)
    telemetry = Telemetry(data / "telemetry", setup.site)
    assembled = live(
        setup,
        clock,
        inbox,
        telemetry,
        dry_run=job.world == "shadow",
        identities_path=data / IDENTITIES_FILE,
        newest_model=newest_models(engine),
        fence=fence,
        stop=stop,
    )
    settlement = NightlySettlement(setup, data, engine, telemetry, notifies=True)
    process = LeadingProcess(setup, data, clock, engine, token, telemetry, assembled, settlement)
    try:
        return await _until_first_ends(
            _run_loop(process, job.until),
            *assembled.background,
            renew_lease(engine, token, fence),
            _save_telemetry(process),
            publish_daily(engine, setup, clock),
            train_on_schedule(engine, setup, data, clock),
            watched_folder.watch_folders(data, inbox, setup),
        )
    except LeadershipLost as lost:
        log.error("Another process holds the leader lease now.", reason=str(lost))
        return ANOTHER_LEADS
    finally:
        with suppress(OSError):  # a full disk: what was read last is lost, and the process ends all the same
            telemetry.flush()
        with suppress(Exception):
            lease.release(engine, token)


async def _run_loop(process: LeadingProcess, until_text: str | None) -> int:
    setup, clock, world = process.setup, process.clock, process.assembled.world
    if isinstance(clock, HeldClock):
        await _wait_for_rigs(setup)
        await process.assembled.controller.refresh()
        clock.release()
    until = parse_instant(until_text) if until_text else None
    journal = SpareJournal(SqlJournal(process.engine, process.token), process.data)
    snapshots = StateSnapshots(process.engine, setup)
    state = snapshots.recovered(State.start(setup, setup_from_document))
    started = _first_entry(process)

    async def after_tick(at: datetime, state: State) -> None:
        await snapshots(at, state)
        await process.settlement(at, state)

    try:
        state = await loop.run(world, journal, state, started, until, after_tick, lambda: holds_lease(process.engine, process.token))
        if until is not None:
            await observe_end(world, journal, state, until)
            process.telemetry.flush()
            await process.settlement(clock.now(), state)
            await process.settlement.finish()
        return 0
    except asyncio.CancelledError:  # a signal: the rigs stay as they are, and the journal says when the run ended
        with suppress(JournalLost):
            journal.append(RunEnded(at=clock.now()))
        raise
    except loop.Fenced as fenced:
        log.error("Another process holds the leader lease now.", reason=str(fenced))
        return ANOTHER_LEADS


def _first_entry(process: LeadingProcess) -> RunStarted:
    """The start of the run, with what contracts remember of the time before."""
    from dispatch.settlement.memories_before import memories_at_start

    setup, at = process.setup, process.clock.now()
    memories = memories_at_start(process.engine, process.telemetry, setup, at)
    return run_started(process.assembled.world.name, setup, at, process.token, memories)


async def _until_first_ends(main: Coroutine[Any, Any, int], *background: Coroutine[Any, Any, Any]) -> int:
    """Run all until `main` ends, then cancel the rest. Raises what a background task raised, RuntimeError when one ended."""
    first = asyncio.create_task(main)
    rest = [asyncio.create_task(other) for other in background]
    try:
        done, _ = await asyncio.wait([first, *rest], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (first, *rest):
            task.cancel()
        await asyncio.gather(first, *rest, return_exceptions=True)
    for task in done:
        if task is not first:
            task.result()
            raise RuntimeError("a background task of the loop ended")
    return first.result()


async def _wait_for_rigs(setup: Setup) -> None:
    """Wait some seconds for simulated rigs on loopback to accept connections. The loop reports those that do not."""
    drivers = [(g, driver_settings(setup, g.name)) for g in setup.site.groups]
    firsts = [
        (addresses(driver.subnet, g.rigs)[0], PORTS[dialect_and_wire_model(g.model, driver.dialect)[0]][0])
        for g, driver in drivers
        if isinstance(driver, TcpSettings) and driver.subnet
    ]
    until = wall_s() + RIGS_WITHIN_S
    for address, port in firsts:
        while wall_s() < until:
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 1.0)
                writer.close()
                break
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)


async def _save_telemetry(process: LeadingProcess) -> None:
    """Save telemetry again and again, close its hours, drop the old ones, and set room aside for a full disk."""
    telemetry, clock, engine = process.telemetry, process.clock, process.engine
    keep = timedelta(days=process.setup.reports.telemetry_days)
    while True:
        await asyncio.sleep(max(1.0, min(10.0, 60.0 / clock.speed)))
        keep_reserve(process.data)
        try:
            telemetry.flush()
            await asyncio.to_thread(close_hours, engine, telemetry.folder, clock.now())
            await asyncio.to_thread(drop_hours, engine, telemetry.folder, clock.now() - keep)
        except (OSError, LedgerUnavailable) as error:  # readings stay in memory until the next attempt; commands need only the journal
            log.error("Telemetry cannot be written.", error=str(error))
