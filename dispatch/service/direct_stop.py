"""The global stop without the control loop: every rig is ordered to sleep by this process itself, with neither ledger nor API."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dispatch.clock import SystemClock
from dispatch.rigs import Driver
from dispatch.runtime.assemble import live_drivers
from dispatch.service.supervisor import Job, job_file
from dispatch.site_file.load import load_site_file
from optimizer.domain.site import SLEEP, RigGroup

ROUNDS, ANSWER_WALL_S = 4, 5.0  # a rig that does not take the order is asked again; each time it has so long, wall seconds
SETTLES_S = 3.0  # wall seconds between the orders and the reading that shows what came of them


class NoRecordedRun(Exception):
    """Nothing has run in the data folder, so its rigs are not known."""


@dataclass(frozen=True, slots=True)
class DirectStop:
    """What came of it: rigs that took the order, rigs that did not, and MW that the rigs read afterwards."""

    taken: int
    not_taken: int
    load_mw: float


def recorded_job(data: Path) -> Job:
    """What the newest run of a data folder was started with. Raises NoRecordedRun."""
    try:
        return Job(**json.loads(job_file(data).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as fault:
        raise NoRecordedRun(f"{job_file(data)} cannot be read: {fault}") from None


async def direct_stop(job: Job) -> DirectStop:
    """Order every rig of a run to sleep, and read them. Raises ConfigError when its site file is wrong now."""
    setup = load_site_file(job.config, job.override)
    drivers = live_drivers(setup, SystemClock(), dry_run=job.world == "shadow")
    try:
        left = await asyncio.gather(*(_sleep(group, drivers[group.name]) for group in setup.site.groups))
        await asyncio.sleep(SETTLES_S)
        read = await asyncio.gather(*(drivers[g.name].read(range(g.rigs), ANSWER_WALL_S) for g in setup.site.groups))
    finally:
        await asyncio.gather(*(driver.close() for driver in drivers.values()))
    not_taken, watts = sum(left), sum(float(np.nansum(readings.watts)) for readings in read)
    return DirectStop(sum(g.rigs for g in setup.site.groups) - not_taken, not_taken, watts / 1e6)


async def _sleep(group: RigGroup, driver: Driver) -> int:
    """How many rigs of a group did not take the order."""
    left = set(range(group.rigs))
    for _ in range(ROUNDS):
        if left:
            left -= set((await driver.set_mode(sorted(left), SLEEP, ANSWER_WALL_S)).sent)
    return len(left)
