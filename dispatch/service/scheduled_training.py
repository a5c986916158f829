"""Trains the price models of a running site again on a schedule, in a child process of low priority, from an archive that the owner keeps.

Whether the loop uses a new version is decided where any version is looked up: it must have beaten the last price when it was trained, and
over the last days.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import structlog
from sqlalchemy import Engine

from dispatch.clock import Clock
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.price_models import newest_trained_at
from markets.archive.archive import Archive
from markets.factbook import REAL_TIME
from markets.grid import Market

log = structlog.get_logger()

NEW_ENOUGH = timedelta(days=7)  # how old the newest archived price may be
ENDS_WITHIN_S = 3600.0
_TRAIN = (
    "import os; os.nice(15); from dispatch.child_process import die_with_parent; die_with_parent(); from dispatch.cli import main; main()"
)


async def train_on_schedule(engine: Engine, setup: Setup, data: Path, clock: Clock) -> None:
    """Look once a day, at the hour that the site file sets, for points whose model is due, and train them one by one, without end."""
    while True:
        await clock.sleep_until(next_hour(clock.now(), setup.site.market, setup.training.hour))
        if setup.training.archive is None:
            continue
        archive = setup.resolve(setup.training.archive)
        for point in setup.settlement_points:
            try:
                why_not = await asyncio.to_thread(not_due, engine, archive, point, clock.now(), timedelta(days=setup.training.every_days))
                if why_not:
                    log.info("The price model is not trained now.", point=point, why=why_not)
                else:
                    await train_in_child(archive, point, data)
            except Exception as fault:  # a damaged archive must not end the site
                log.error("The price model could not be trained.", point=point, error=repr(fault))


def next_hour(now: datetime, market: Market, hour: int) -> datetime:
    """The next beginning of an hour of the market's clock."""
    local = now.astimezone(market.tz)
    at = local.replace(hour=hour, minute=0, second=0, microsecond=0)
    while at <= local:
        at += timedelta(days=1)
    return at.astimezone(now.tzinfo)


def not_due(engine: Engine, archive: Path, point: str, now: datetime, every: timedelta) -> str:
    """Why a point's model is not to be trained at an instant; empty when it is."""
    try:
        trained_at = newest_trained_at(engine, point)
    except LedgerUnavailable as fault:
        return f"the ledger cannot be read: {fault}"
    if trained_at is not None and now - trained_at < every:
        return f"it was trained at {trained_at:%Y-%m-%dT%H:%MZ}"
    rows = Archive(archive).read("price", [point]).filter(pl.col("market").is_in([run.value for run in REAL_TIME]))
    newest = rows["end"].max()
    if not isinstance(newest, datetime):
        return f"the archive {archive} has no real-time price of it"
    if now - newest > NEW_ENOUGH:
        return f"the archive's newest price is of {newest:%Y-%m-%dT%H:%MZ}, over {NEW_ENOUGH.days} days old"
    if trained_at is not None and newest <= trained_at:
        return "the archive has no price since it was trained"
    return ""


async def train_in_child(archive: Path, point: str, data: Path) -> None:
    """`loadstone train` in a process of its own, ended after an hour. What goes wrong is logged."""
    arguments = ("train", "--archive", str(archive), "--point", point, "--data", str(data))
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", _TRAIN, *arguments, stdout=pipe, stderr=pipe, env=env)
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            printed, errors = await child.communicate()
    except TimeoutError:
        log.error("Training of the price model did not end.", point=point, within_s=ENDS_WITHIN_S)
        return
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    text = (printed if child.returncode == 0 else errors).decode(errors="replace").strip().splitlines()
    if child.returncode == 0:
        log.info("Trained the price model.", point=point, result=text[0] if text else "")
    else:
        log.error("The price model could not be trained.", point=point, status=child.returncode, error=" ".join(text[-2:])[:300])
