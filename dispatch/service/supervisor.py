"""The supervisor: starts the processes of a site and restarts those that end. The processes exchange data only through the ledger."""

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
STABLE_AFTER_S = 30.0  # a child that ran this long is restarted after the first pause again
STOP_WITHIN_S = 8.0  # a child that has not ended by then is killed

# Exit statuses of a child; with 0 its work is done.
WRONG_CONFIG, ANOTHER_LEADS, CANNOT_SERVE = 2, 3, 3
STOPPED = 143  # by a signal: 128 + SIGTERM. A process that somebody else stopped is started again


@dataclass(frozen=True, slots=True)
class Job:
    """What every process of a site is started with. Times are ISO 8601 with offset.

    simulated_time  time runs from `start` at `speed`, and is held at `start` until the loop is ready; else it is the machine's own
    """

    config: str
    data: str
    listen: str
    world: str
    owner: str
    start: str
    simulated_time: bool
    speed: float
    until: str | None = None
    override: dict[str, Any] | None = None

    def text(self) -> str:
        """As JSON, the way a process takes it."""
        return json.dumps(asdict(self))


def clock_file(data: Path) -> Path:
    """The file with the instant at which simulated time began to run."""
    return data / "clock"


def job_file(data: Path) -> Path:
    """The file with what the newest run was started with: a stop that finds no control loop reads the rigs from it."""
    return data / "job.json"


@dataclass(slots=True)
class Child:
    """A process by its role; with `ends_all` the whole site ends when it ends with status 0."""

    role: str
    ends_all: bool = False
    process: asyncio.subprocess.Process | None = None


async def supervise(job: Job, roles: Sequence[str]) -> int:
    """Run the roles until the loop ends by itself (status 0), a role finds the configuration wrong, or a signal comes; the exit status."""
    clock_file(Path(job.data)).unlink(missing_ok=True)
    job_file(Path(job.data)).write_text(job.text(), "utf-8")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    children = [Child(role, ends_all=role == "loop") for role in roles]
    status = {"code": 0}
    keepers = [asyncio.create_task(_keep_running(child, job, stop, status)) for child in children]
    await stop.wait()
    await asyncio.gather(*(_stop(c) for c in children))
    for keeper in keepers:
        keeper.cancel()
    await asyncio.gather(*keepers, return_exceptions=True)
    return status["code"]


async def _keep_running(child: Child, job: Job, stop: asyncio.Event, status: dict[str, int]) -> None:
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
        log.debug("Started a process.", role=child.role, pid=child.process.pid)
        code = await child.process.wait()
        if stop.is_set():
            return
        # A wrong configuration is wrong the next time too.
        if (code == 0 and child.ends_all) or code == WRONG_CONFIG:
            status["code"] = code
            stop.set()
            return
        pause_s = FIRST_PAUSE_S if wall_s() - began > STABLE_AFTER_S else min(pause_s * 2, LONGEST_PAUSE_S)
        log.warning("A process ended and will be restarted.", role=child.role, status=code, in_s=round(pause_s, 1))
        await asyncio.sleep(pause_s)


async def _stop(child: Child) -> None:
    process = child.process
    if process is None or process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
