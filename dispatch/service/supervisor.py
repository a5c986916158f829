"""The supervisor: starts the processes of a site and starts again whichever dies. They meet in the ledger, not here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from dispatch.clock import wall_s

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
LIVED_WELL_S = 30.0  # a child that lived this long starts again at once
GRACE_S = 8.0


@dataclass(frozen=True, slots=True)
class Job:
    """What every process of a site is told. Times are ISO 8601 with offset.

    `zero_s` is the monotonic instant of `start`, so that all share a clock; None holds a simulated time until the loop lets it go.
    """

    config: str
    data: str
    listen: str
    world: str
    owner: str
    start: str
    zero_s: float | None
    speed: float
    until: str | None = None
    override: dict[str, Any] | None = None

    def text(self) -> str:
        return json.dumps(asdict(self))


def clock_file(data: Path) -> Path:
    """Where the processes of a site find the instant its simulated time began to run."""
    return data / "clock"


@dataclass(slots=True)
class Child:
    """A process by its role; `ends_all` when its clean end ends the site's run."""

    role: str
    ends_all: bool = False
    process: asyncio.subprocess.Process | None = None


async def supervise(job: Job, roles: Sequence[str]) -> int:
    """Run the roles until the loop ends by itself (exit 0), or a signal ends us. Returns the exit status."""
    clock_file(Path(job.data)).unlink(missing_ok=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    children = [Child(role, ends_all=role == "loop") for role in roles]
    status = {"code": 0}
    keepers = [asyncio.create_task(_keep(child, job, stop, status)) for child in children]
    await stop.wait()
    await asyncio.gather(*(_end(c) for c in children))
    for keeper in keepers:
        keeper.cancel()
    await asyncio.gather(*keepers, return_exceptions=True)
    return status["code"]


async def _keep(child: Child, job: Job, stop: asyncio.Event, status: dict[str, int]) -> None:
    pause_s = FIRST_PAUSE_S
    while not stop.is_set():
        began = wall_s()
        child.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dispatch.service.daemon",
            child.role,
            job.text(),
            env={**os.environ, "LOADSTONE_PARENT": str(os.getpid())},
        )
        log.debug("started", role=child.role, pid=child.process.pid)
        code = await child.process.wait()
        if stop.is_set():
            return
        # 0: its work is done. 2: what it was told is wrong, and will be wrong the next time.
        if (code == 0 and child.ends_all) or code == 2:
            status["code"] = code
            stop.set()
            return
        pause_s = FIRST_PAUSE_S if wall_s() - began > LIVED_WELL_S else min(pause_s * 2, LONGEST_PAUSE_S)
        log.warning("a process ended and is started again", role=child.role, code=code, in_s=round(pause_s, 1))
        await asyncio.sleep(pause_s)


async def _end(child: Child) -> None:
    process = child.process
    if process is None or process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
