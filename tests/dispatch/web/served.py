"""A small site that ran for some hours, kept in a real ledger, and its API on a real port."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from dispatch.decide.state import State
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.sim.spec import ScheduledFault
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.keys import ApiKeys
from dispatch.store.tables import open_ledger
from dispatch.web.app import create_app
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices

DAY = timedelta(days=1)
# Dearer than both breakevens for an hour at the end: 62.50 and 107.14 $/MWh.
USD = [30.0] * 8 + [80.0] * 4 + [150.0] * 4


@dataclass(slots=True)
class StoppedClock:
    """A clock that always shows `at`."""

    at: datetime
    speed: float = 1.0

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(0)

    def stepped(self) -> timedelta:
        return timedelta(0)


def run_site(
    data: Path,
    setup: Setup,
    hours: float,
    usd: Sequence[float] = USD,
    pushed: Sequence[tuple[str, dict[str, Any]]] = (),
    faults: Sequence[ScheduledFault] = (),
    meter_reads: Callable[[float, float], float] | None = None,
) -> datetime:
    """Run the loop from NOON into the data folder's ledger; the instant it ended. What is `pushed` waits in the inbox from the start."""
    engine = open_ledger(data)
    inbox = Inbox(engine)
    for kind, document in pushed:
        inbox.put(kind, document, "tests")
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    facts = [*prices(usd, NOON - timedelta(hours=2)), hashprice(45.0, NOON)]
    facts += prices(
        [40.0 + 20 * (h % 6) for h in range(48)], NOON - timedelta(hours=12), minutes=60, market="DAY_AHEAD_HOURLY", known_at=NOON - DAY
    )
    made = world(setup, NOON, facts, inbox=inbox, faults=faults, meter_reads=meter_reads)
    end = NOON + timedelta(hours=hours)
    asyncio.run(
        loop.run(made, SqlJournal(engine, token), State.start(setup, setup_from_document), run_started("replay", setup, NOON, token), end)
    )
    engine.dispose()
    return end


def key(data: Path, name: str, *scopes: str) -> str:
    engine = open_ledger(data)
    secret = ApiKeys(engine).add(name, scopes)
    engine.dispose()
    return secret


@contextmanager
def served(data: Path, setup: Setup, at: datetime, ready: bool = True) -> Iterator[str]:
    """The address of the API over a data folder, its clock standing at `at`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = create_app(data, setup, clock=StoppedClock(at), listen=f"127.0.0.1:{port}")
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: httpx.get(f"{address}/api/v1/state" if ready else f"{address}/api/v1/health/live").status_code == 200)
        yield address
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def _until(true: Any, limit_s: float = 30.0) -> None:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            if true():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError("the API did not come up")
