"""A process of a running site, by its role: the control loop, the API, or the simulated rigs of the demonstration.

The supervisor starts it as `python -m dispatch.service.daemon ROLE JOB`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dispatch import ConfigError
from dispatch.child_process import die_with_parent
from dispatch.clock import Clock, HeldClock, SystemClock
from dispatch.service.logs import logs_to_stderr
from dispatch.service.supervisor import CANNOT_SERVE, STOPPED, WRONG_CONFIG, Job, clock_file
from markets.grid import parse_instant
from optimizer.domain.site import SLEEP

if TYPE_CHECKING:
    from dispatch.alerting.conditions import AlertCondition
    from dispatch.alerting.watch import AlertWatch
    from dispatch.site_file.setup import Setup
    from dispatch.web.context import ApiContext

log = structlog.get_logger()


def clock_of(job: Job) -> Clock:
    """The clock all processes of a job share."""
    return HeldClock(parse_instant(job.start), job.speed, clock_file(Path(job.data))) if job.simulated_time else SystemClock()


async def loop_role(job: Job) -> int:
    """Lead the site."""
    from dispatch.service.loop_process import lead

    return await lead(job, clock_of(job))


async def api_role(job: Job) -> int:
    """Serve the API and the pages."""
    from dispatch.site_file.load import load_site_file
    from dispatch.web.app import create_app
    from dispatch.web.serve import serve

    setup = load_site_file(job.config, job.override)
    app = create_app(Path(job.data), setup, clock=clock_of(job), listen=job.listen)
    api = setup.api
    watch = asyncio.create_task(_alert_watch(setup, Path(job.data), app.state.context).run()) if setup.alerts.to else None
    try:
        await serve(app, job.listen, (setup.resolve(api.tls_certificate), setup.resolve(api.tls_key)) if api.tls_certificate else None)
    except OSError as error:
        log.error("The API cannot be served.", error=str(error))
        return CANNOT_SERVE
    finally:
        if watch is not None:
            watch.cancel()
    return 0


def _alert_watch(setup: Setup, data: Path, context: ApiContext) -> AlertWatch:
    """The watch over what the API says of the site; nothing is said while the journal is read for the first time."""
    from dispatch.alerting.conditions import SiteUnknown, conditions
    from dispatch.alerting.watch import AlertWatch
    from dispatch.web.errors import Refusal

    def look() -> Mapping[str, AlertCondition] | None:
        try:
            return conditions(context.state())
        except Refusal as refused:
            if context.is_starting:
                return None
            raise SiteUnknown(str(refused.detail)) from None

    return AlertWatch(setup, data, look)


async def rigs_role(job: Job) -> int:
    """Serve the demonstration's rigs at every loopback subnet of the site file. The site starts with every rig asleep."""
    from dispatch.sim.models import ServeFault
    from dispatch.sim.server import serve_site
    from dispatch.site_file.load import load_site_file

    try:
        await serve_site(load_site_file(job.config, job.override), clock_of(job), Path(job.data) / "rigs.jsonl", initial=SLEEP)
    except ServeFault as error:
        log.error("The simulated rigs cannot be served.", error=str(error))
        return CANNOT_SERVE
    return 0


ROLES = {"loop": loop_role, "api": api_role, "rigs": rigs_role}


def main(argv: list[str]) -> int:
    """Run a role until it ends or a signal stops it; the exit status, STOPPED after a signal."""
    logs_to_stderr()
    parent = os.environ.get("LOADSTONE_PARENT")
    die_with_parent(int(parent) if parent else None)
    role, job = argv[0], Job(**json.loads(argv[1]))
    try:
        with asyncio.Runner() as runner:
            event_loop = runner.get_loop()
            task = event_loop.create_task(ROLES[role](job))
            for name in (signal.SIGTERM, signal.SIGINT):
                event_loop.add_signal_handler(name, task.cancel)
            return event_loop.run_until_complete(task)
    except asyncio.CancelledError:
        return STOPPED
    except ConfigError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)
        return WRONG_CONFIG


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
