"""The processes of a running site: the loop, the API, the simulated rigs of the demonstration.

`python -m dispatch.service.daemon ROLE JOB` is the supervisor's.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from dispatch import ConfigError
from dispatch.child_process import die_with_parent
from dispatch.clock import Clock, HeldClock, WallClock, wall_s
from dispatch.service.supervisor import Job, clock_file
from markets.grid import parse_instant
from optimizer.domain.site import SLEEP

log = structlog.get_logger()

LEASE_S = 5.0
RIGS_WITHIN_S = 10.0  # wall seconds


def clock_of(job: Job) -> WallClock:
    """The clock all processes of a job share."""
    start = parse_instant(job.start)
    return HeldClock(start, job.speed, clock_file(Path(job.data))) if job.zero_s is None else WallClock(start, job.speed, job.zero_s)


async def loop_role(job: Job) -> int:
    """Lead the site: returns 0 when the job's end is reached, 3 when another process took over."""
    from dispatch.decide.state import State
    from dispatch.runtime import loop
    from dispatch.runtime.assemble import live
    from dispatch.service.nightly_settlement import Nightly
    from dispatch.service.replay import closing_look, run_started
    from dispatch.signals import watched_folder
    from dispatch.site_file.load import load_site_file, setup_from_document
    from dispatch.store import lease
    from dispatch.store.inbox import Inbox
    from dispatch.store.journal import SqlJournal
    from dispatch.store.tables import open_ledger
    from dispatch.store.telemetry import Telemetry

    setup, data, clock = load_site_file(job.config, job.override), Path(job.data), clock_of(job)
    engine = open_ledger(data)
    token, inbox = await _lead(engine, job.owner), Inbox(engine)
    telemetry = Telemetry(data / "telemetry", setup.site)
    assembled = live(setup, clock, inbox, telemetry, dry_run=job.world == "shadow")
    journal = SqlJournal(engine, token)
    nightly = Nightly(setup, data, engine, telemetry, notifies=True)
    until = parse_instant(job.until) if job.until else None

    async def main() -> int:
        try:
            if isinstance(clock, HeldClock):
                await _answering(setup)
                await assembled.crew.refresh()
                clock.let_go()
            state = State.start(setup, setup_from_document)
            started = run_started(assembled.world.name, setup, clock.now(), token)
            leads = lambda: _holds(engine, token)  # noqa: E731
            state = await loop.run(assembled.world, journal, state, started, until, nightly, leads)
            if until is not None:
                await closing_look(assembled.world, journal, state, until)
                telemetry.flush()
                await nightly(clock.now(), state)
                await nightly.finish()
            return 0
        except loop.Fenced as fenced:
            log.error("another process leads now", why=str(fenced))
            return 3

    try:
        folder = watched_folder.watch(data, inbox, setup)
        return await _beside(main(), *assembled.beside, _renew(engine, token), _flush(telemetry, clock), folder)
    finally:
        telemetry.flush()
        with suppress(Exception):
            lease.release(engine, token)


async def api_role(job: Job) -> int:
    """Serve the API and the page."""
    from dispatch.site_file.load import load_site_file
    from dispatch.web.app import create_app
    from dispatch.web.serve import serve

    app = create_app(Path(job.data), load_site_file(job.config, job.override), clock=clock_of(job), listen=job.listen)
    try:
        await serve(app, job.listen)
    except OSError as fault:
        log.error("the API cannot be served", why=str(fault))
        return 3
    return 0


async def rigs_role(job: Job) -> int:
    """The demonstration's rigs: every loopback subnet of the site file, on a clock of the same speed. The site starts cold: all asleep."""
    from dispatch.sim.models import ServeFault
    from dispatch.sim.server import serve_site
    from dispatch.site_file.load import load_site_file

    try:
        await serve_site(load_site_file(job.config, job.override), clock_of(job), Path(job.data) / "rigs.jsonl", initial=SLEEP)
    except ServeFault as fault:
        log.error("the simulated rigs cannot be served", why=str(fault))
        return 3
    return 0


async def _answering(setup: Any) -> None:
    """Give simulated rigs on loopback a moment to be there; a rig network that does not answer is the loop's to see and say."""
    from dispatch.rigs.dialects import spoken
    from dispatch.rigs.driver_sections import TcpSettings, driver_settings
    from dispatch.rigs.roster import addresses
    from dispatch.rigs.wire import PORTS

    drivers = [(g, driver_settings(setup, g.name)) for g in setup.site.groups]
    firsts = [
        (addresses(how.subnet, g.rigs)[0], PORTS[spoken(g.model, how.dialect)[0]][0])
        for g, how in drivers
        if isinstance(how, TcpSettings) and how.subnet
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


ROLES = {"loop": loop_role, "api": api_role, "rigs": rigs_role}


async def _beside(main: Coroutine[Any, Any, int], *others: Coroutine[Any, Any, Any]) -> int:
    """Run the main one; when it ends the others do, and when one of the others breaks, all do."""
    first = asyncio.create_task(main)
    rest = [asyncio.create_task(o) for o in others]
    done, _ = await asyncio.wait([first, *rest], return_when=asyncio.FIRST_COMPLETED)
    for task in (first, *rest):
        task.cancel()
    await asyncio.gather(first, *rest, return_exceptions=True)
    for task in done:
        if task is not first:
            task.result()
            raise RuntimeError("a task beside the loop ended")
    return first.result()


async def _lead(engine: Any, owner: str) -> int:
    from dispatch.store import LedgerUnavailable, lease

    said = False
    while True:
        try:
            if (token := lease.take(engine, owner, LEASE_S)) is not None:
                return token
            if not said:
                log.warning("another process leads this data folder; waiting for it to let go")
                said = True
        except LedgerUnavailable as fault:
            log.error("ledger unavailable", error=str(fault))
        await asyncio.sleep(0.5)


async def _renew(engine: Any, token: int) -> None:
    from dispatch.store import LedgerUnavailable, lease

    while True:
        await asyncio.sleep(LEASE_S / 4)
        with suppress(LedgerUnavailable):  # the journal will say so; the lease may still be ours
            if not lease.renew(engine, token, LEASE_S):
                raise RuntimeError("the lease went to another process")


def _holds(engine: Any, token: int) -> bool:
    from dispatch.store import LedgerUnavailable, lease

    try:
        found = lease.holder(engine)
    except LedgerUnavailable:
        return True
    return found is None or found.token == token


async def _flush(telemetry: Any, clock: Clock) -> None:
    while True:
        await asyncio.sleep(max(1.0, min(10.0, 60.0 / clock.speed)))
        try:
            telemetry.flush()
        except OSError as fault:  # what waits, waits on; the journal guards the commands
            log.error("telemetry cannot be written", error=str(fault))


def main(argv: list[str]) -> int:
    parent = os.environ.get("LOADSTONE_PARENT")
    die_with_parent(int(parent) if parent else None)
    role, job = argv[0], Job(**json.loads(argv[1]))
    try:
        with asyncio.Runner() as runner:
            task_loop = runner.get_loop()
            task = task_loop.create_task(ROLES[role](job))
            for name in (signal.SIGTERM, signal.SIGINT):
                task_loop.add_signal_handler(name, task.cancel)
            return task_loop.run_until_complete(task)
    except asyncio.CancelledError:
        return 0
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
