"""How fast something from outside becomes an order: from the publication of a dispatch run's price to the first order to a rig.

    python bench/calls.py [--flips N] [--json]

ERCOT's documents come from a TLS server on loopback through gridstatus in its child process, behind a list as long as the market's own;
the rigs of the demonstration are served on loopback by another process and read and ordered over their own protocols. Each quarter hour's
price is on the other side of every rig's breakeven. The idle time between two runs is skipped by setting the clock forward; everything else
happens at the wall's pace, the pauses between two readings of the list included. The planner runs in its own process, as it does live.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dispatch.decide.state import State  # noqa: E402
from dispatch.entries import Commanded, Done  # noqa: E402
from dispatch.runtime import loop  # noqa: E402
from dispatch.runtime.assemble import live  # noqa: E402
from dispatch.runtime.world import Executor  # noqa: E402
from dispatch.service.replay import run_started  # noqa: E402
from dispatch.service.supervisor import Job  # noqa: E402
from dispatch.site_file.defaults import DEMO_SITE, default_file  # noqa: E402
from dispatch.site_file.load import load_site_file, setup_from_document  # noqa: E402
from dispatch.store.inbox import Inbox  # noqa: E402
from dispatch.store.journal import MemoryJournal  # noqa: E402
from dispatch.store.tables import open_ledger  # noqa: E402
from tests.fakes import DiscardedTelemetry  # noqa: E402
from tests.markets.sources.ercot_pages import RUN, ErcotPages  # noqa: E402
from tests.markets.sources.tls import Web  # noqa: E402

POINT, FIVE = "LZ_WEST", timedelta(minutes=5)
CHEAP_USD, DEAR_USD = 15.0, 400.0
LISTED = 2880  # five days of documents
DOCUMENTS = 4  # that are read of each run
ASKED_S, WITHIN_S = 5.0, 15.0  # an order is asked for within, and waited for
READ_WITHIN_S = 5.0
ENDS_AFTER_S = 130.0  # the measurement, whatever the machine is busy with


class SkippingClock:
    """The machine's time, set forward by the bench over idle time."""

    speed = 1.0

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep_until(self, at: datetime) -> None:
        while (left := (at - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, 0.02))

    def stepped(self) -> timedelta:
        return timedelta(0)


class TimedExecutor:
    """Notes when orders go out."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.ordered = inner, asyncio.Event()

    @property
    def busy(self) -> bool:
        return self.inner.busy

    async def begin(self, commanded: Commanded) -> None:
        self.ordered.set()
        await self.inner.begin(commanded)

    async def work(self, until: datetime) -> Done | None:
        return await self.inner.work(until)

    def interrupt(self) -> None:
        self.inner.interrupt()


def site_file(folder: Path) -> Path:
    """The demonstration site, which follows every quarter hour, on ERCOT's own feed."""
    text = default_file(DEMO_SITE).read_text("utf-8")
    text = re.sub(r"(?m)^(min_o\w+_min) = \d+$", r"\1 = 0", text).replace('source = "synthetic"\nseed = 1', 'source = "gridstatus"')
    file = folder / "site.toml"
    file.write_text(re.sub(r"(?ms)^# One rig that truly hashes.*?(?=^\[prices\])", "", text), "utf-8")
    return file


class Measurement:
    """A running site, and the flips of the price that are measured on it."""

    def __init__(self, folder: Path) -> None:
        self.pages, self.clock = ErcotPages(), SkippingClock()
        for n in range(LISTED):
            self.pages.post(RUN, f"LMPSROSNODENP6788_20200101_{n:06d}", datetime(2020, 1, 1, tzinfo=UTC), b"old")
        self.web = Web(self.pages.route, folder)
        os.environ.update(self.web.env)
        self.setup = load_site_file(site_file(folder))
        self.assembled = live(self.setup, self.clock, Inbox(open_ledger(folder)), DiscardedTelemetry())
        self.executor = TimedExecutor(self.assembled.world.executor)

    def running(self) -> list[asyncio.Task[object]]:
        """The control loop, and then what runs beside it."""
        started = run_started("live", self.setup, self.clock.now(), 1)
        world = replace(self.assembled.world, executor=self.executor)
        tasks = (loop.run(world, MemoryJournal(), State.start(self.setup, setup_from_document), started), *self.assembled.background)
        return [asyncio.ensure_future(task) for task in tasks]

    async def flips(self, number: int) -> AsyncIterator[float | None]:
        """Publish the three runs of each quarter hour, of which the first flips the price; the seconds of each flip to its first order,
        None where there was none. The first two, which also start the planner and the feeds, are not measured."""
        quarter = self.clock.now().replace(minute=self.clock.now().minute // 15 * 15, second=0, microsecond=0) + 3 * FIVE
        for n in range(number + 2):
            usd = DEAR_USD if n % 2 else CHEAP_USD
            await self._skip_to(quarter)
            await self.assembled.controller.refresh()  # the rigs were not read in the time skipped
            await asyncio.sleep(1.0 + random.uniform(0.0, 2.0))  # orders to rigs that were out of reach go out now and not with the price
            self._publish(usd)
            took = await self._first_order()
            if n > 1:
                yield took
            for run in (1, 2):
                await self._skip_to(quarter + run * FIVE)
                self._publish(usd)
            quarter += 3 * FIVE

    async def _skip_to(self, run_at: datetime) -> None:
        """Wait until the run before was read, and set the clock to a few seconds after the next one."""
        await self._until(lambda: len(self.web.paths("mirDownload")) >= self.documents)
        self.clock.ahead += run_at + timedelta(seconds=random.uniform(6, 9)) - self.clock.now()

    def _publish(self, usd: float) -> None:
        self.executor.ordered.clear()
        self.documents = len(self.web.paths("mirDownload")) + DOCUMENTS
        self.pages.post_run(self.clock.now(), [POINT], lambda point, at: usd)

    documents = 0  # how many documents will have been read when the newest run is

    async def _first_order(self) -> float | None:
        began = time.perf_counter()
        try:
            await asyncio.wait_for(self.executor.ordered.wait(), WITHIN_S)
        except TimeoutError:
            return None
        return time.perf_counter() - began

    async def _until(self, met: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(READ_WITHIN_S):
                while not met():
                    await asyncio.sleep(0.05)


async def published_to_ordered(flips: int, folder: Path) -> list[float | None]:
    """Seconds from publication to the first order of each flip, as many as there are in ENDS_AFTER_S."""
    measured, took = Measurement(folder), list[float | None]()
    job = Job(str(folder / "site.toml"), str(folder), "127.0.0.1:0", "live", "bench", measured.clock.now().isoformat(), False, 1.0)
    command = [sys.executable, "-m", "dispatch.service.daemon", "rigs", job.text()]
    rigs = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    tasks = measured.running()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDS_AFTER_S):
                async for seconds in measured.flips(flips):
                    took.append(seconds)
                    print(
                        f"flip {len(took)}: " + (f"no order within {WITHIN_S:g} s" if seconds is None else f"{seconds:.2f} s"), flush=True
                    )
                    if tasks[0].done():
                        raise RuntimeError(f"the control loop ended: {tasks[0].exception()}")
        return took
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
        rigs.terminate()
        rigs.wait(30)
        measured.web.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = asyncio.run(published_to_ordered(args.flips, Path(folder)))
    took = sorted(seconds for seconds in measured if seconds is not None)
    if not took:
        print(f"no order followed any of {len(measured)} flips")
        return 1
    median, longest = statistics.median(took), took[-1]
    print(f"publication of a dispatch run to the first order: median {median:.2f} s, max {longest:.2f} s of {len(took)} flips")
    if len(took) < args.flips:
        print(f"{len(measured) - len(took)} without an order, {args.flips - len(measured)} not made within {ENDS_AFTER_S:g} s")
    if args.json:
        print(json.dumps({"sced_to_command_median_s": round(median, 3), "sced_to_command_max_s": round(longest, 3)}))
    return 0 if len(took) == args.flips and longest < ASKED_S else 1


if __name__ == "__main__":
    sys.exit(main())
