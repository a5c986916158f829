"""Publishes the heads of the ledger's chains once a day, to the files and webhooks that the site file names."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx
import structlog
from sqlalchemy import Engine

from dispatch.clock import Clock
from dispatch.rigs.secrets import secret
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.published_heads import append_heads, heads_document

log = structlog.get_logger()

EVERY = timedelta(days=1)
WITHIN_S = 10.0


async def publish_daily(engine: Engine, setup: Setup, clock: Clock) -> None:
    """Publish at the start and then once a day, without end, in a thread."""
    while True:
        now = clock.now()
        await asyncio.to_thread(publish_heads, engine, setup, now)
        await clock.sleep_until(now + EVERY)


def publish_heads(engine: Engine, setup: Setup, at: datetime) -> None:
    """Publish the heads now. What cannot be reached is logged; the others are still told."""
    files, webhooks = setup.reports.head_files, setup.reports.head_webhooks
    if not files and not webhooks:
        return
    try:
        document = heads_document(engine, at)
    except LedgerUnavailable as fault:
        log.error("The heads cannot be published.", error=str(fault))
        return
    for name in files:
        try:
            append_heads(setup.resolve(name), document)
        except OSError as fault:
            log.error("The heads cannot be published.", file=name, error=str(fault))
    for reference in webhooks:
        try:
            httpx.post(secret(reference, setup.resolve).strip(), json=document, timeout=WITHIN_S).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, OSError, ValueError) as fault:  # its text may hold the address
            log.error("The heads cannot be published.", reference=reference, error=type(fault).__name__)
