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
WITHIN_S = 60.0


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


async def published_to_ordered(flips: int, folder: Path) -> list[float]:
    """Seconds from publication to the first order, of each flip."""
    pages, clock = ErcotPages(), SkippingClock()
    for n in range(LISTED):
        pages.post(RUN, f"LMPSROSNODENP6788_20200101_{n:06d}", datetime(2020, 1, 1, tzinfo=UTC), b"old")
    web = Web(pages.route, folder)
    os.environ.update(web.env)
    config = site_file(folder)
    job = Job(str(config), str(folder), "127.0.0.1:0", "live", "bench", clock.now().isoformat(), False, 1.0)
    command = [sys.executable, "-m", "dispatch.service.daemon", "rigs", job.text()]
    rigs = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    background: list[asyncio.Task[object]] = []
    try:
        setup = load_site_file(config)
        assembled = live(setup, clock, Inbox(open_ledger(folder)), DiscardedTelemetry())
        executor = TimedExecutor(assembled.world.executor)
        started = run_started("live", setup, clock.now(), 1)
        running = loop.run(replace(assembled.world, executor=executor), MemoryJournal(), State.start(setup, setup_from_document), started)
        background = [asyncio.ensure_future(task) for task in (running, *assembled.background)]
        return await _flips(flips, pages, clock, executor, background[0])
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        rigs.terminate()
        rigs.wait(30)
        web.close()


async def _flips(
    flips: int, pages: ErcotPages, clock: SkippingClock, executor: TimedExecutor, running: asyncio.Task[object]
) -> list[float]:
    """Publish the three runs of each quarter hour; the first one of each flips the price."""
    took: list[float] = []
    quarter = clock.now().replace(minute=clock.now().minute // 15 * 15, second=0, microsecond=0) + 3 * FIVE
    for n in range(flips + 2):  # the first two wake the planner, the feed and the rigs
        for run in range(3):
            clock.ahead += quarter + run * FIVE + timedelta(seconds=random.uniform(6, 9)) - clock.now()
            await asyncio.sleep(random.uniform(0.0, 2.0))
            executor.ordered.clear()
            usd = DEAR_USD if n % 2 else CHEAP_USD
            pages.post_run(clock.now(), [POINT], lambda point, at, usd=usd: usd)  # type: ignore[misc]
            began = time.perf_counter()
            if run == 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(executor.ordered.wait(), WITHIN_S)
                took += [time.perf_counter() - began] if n > 1 else []
            assert not running.done(), running.exception()
            await asyncio.sleep(4.0)  # the rest of the run is read, and the rigs move
        quarter += 3 * FIVE
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        took = asyncio.run(published_to_ordered(args.flips, Path(folder)))
    p99 = sorted(took)[min(len(took) - 1, int(0.99 * len(took)))]
    print("seconds of each flip:", ", ".join(f"{s:.2f}" for s in took))
    print(f"publication of a dispatch run to the first order: median {statistics.median(took):.2f} s, p99 {p99:.2f} s of {len(took)} flips")
    if args.json:
        print(json.dumps({"sced_to_command_p99_s": round(p99, 3)}))


if __name__ == "__main__":
    main()
