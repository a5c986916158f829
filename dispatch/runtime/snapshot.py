"""The inputs of a plan or a what-if when no daemon runs: a site file, and facts from its sources as of an instant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from dispatch.clock import VirtualClock, wall_now
from dispatch.decide.plan_inputs import PlanInputs, inputs
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.runtime.history import facts_before
from dispatch.runtime.price_sources import archived, polled_sources
from dispatch.site_file.load import load_site_file, setup_from_document
from dispatch.site_file.setup import Setup
from markets import UnknownPrice
from markets.facts import Fact
from optimizer.lp.fill_gaps import fill_gaps

LOOK_BACK = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state as of `at`, and the inputs of a plan made then."""

    setup: Setup
    state: State
    inputs: PlanInputs
    at: datetime


def snapshot(config: Path, archive: Path | None, at: datetime | None) -> Snapshot:
    """Ask every source of a site file for what was known at `at`, now by default. Raises ConfigError, SourceError, and UnknownPrice when no
    source knows a price or the hashprice."""
    setup = load_site_file(config, archived(config, archive) if archive else {})
    at = at or wall_now()
    return asyncio.run(_gather(setup, at))


async def _gather(setup: Setup, at: datetime) -> Snapshot:
    clock = VirtualClock(at)
    facts: list[Fact] = []
    for source in polled_sources(setup, clock.now):
        facts += await facts_before(source.source, setup, (at - LOOK_BACK, at))
    state = State.start(setup, setup_from_document).after(Seen(at=at, facts=tuple(facts)), 1)
    found = Snapshot(setup, state, inputs(state, at), at)
    try:
        fill_gaps(found.inputs.outlook)
    except UnknownPrice as unknown:
        raise UnknownPrice(
            f"{unknown} as of {at:%Y-%m-%dT%H:%MZ}; check [prices] and [hash] in the site file, "
            "or give --archive or --at so that prices not older than a day are known"
        ) from None
    return found
