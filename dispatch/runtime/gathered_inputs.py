"""The inputs of a plan or a what-if outside the daemon: a site file, facts from its sources as of an instant, and what the site's contracts
remember where its data folder is given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from dispatch.clock import VirtualClock, wall_now
from dispatch.decide.contract_memory import ContractMemories
from dispatch.decide.plan_inputs import PlanInputs, inputs
from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.runtime.history import facts_before
from dispatch.runtime.price_sources import archived, polled_sources
from dispatch.site_file.load import load_site_file, setup_from_document
from dispatch.site_file.setup import Setup
from markets import UnknownPrice
from markets.facts import Fact
from optimizer.domain.memory import Memory
from optimizer.lp.fill_gaps import fill_gaps

LOOK_BACK = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class GatheredInputs:
    """The state as of `at`, and the inputs of a plan made then."""

    setup: Setup
    state: State
    inputs: PlanInputs
    at: datetime


def gather_inputs(config: Path, archive: Path | None, at: datetime | None, data: Path | None = None) -> GatheredInputs:
    """Ask every source of a site file for what was known at `at`, now by default. With the data folder of a run, contracts remember what
    its ledger says of the time before (a month's peak so far, missed tests); without one, nothing. Raises ConfigError, SourceError,
    LedgerUnavailable, JournalBroken, and UnknownPrice when no source knows a price or the hashprice."""
    setup = load_site_file(config, archived(config, archive) if archive else {})
    at = at or wall_now()
    return asyncio.run(_gather(setup, at, _memories(setup, data, at) if data else {}))


def _memories(setup: Setup, data: Path, at: datetime) -> Mapping[str, Memory]:
    from dispatch.settlement.memories_before import memories_at_start
    from dispatch.store.tables import open_ledger
    from dispatch.store.telemetry import Telemetry

    return memories_at_start(open_ledger(data, create=False), Telemetry(data / "telemetry", setup.site), setup, at)


async def _gather(setup: Setup, at: datetime, memories: Mapping[str, Memory]) -> GatheredInputs:
    clock = VirtualClock(at)
    facts: list[Fact] = []
    for source in polled_sources(setup, clock.now):
        facts += await facts_before(source.source, setup, (at - LOOK_BACK, at))
    start = replace(State.start(setup, setup_from_document), contract_memories=ContractMemories(memories))
    state = start.after(Seen(at=at, facts=tuple(facts)), 1)
    found = GatheredInputs(setup, state, inputs(state, at), at)
    try:
        fill_gaps(found.inputs.outlook)
    except UnknownPrice as unknown:
        raise UnknownPrice(
            f"{unknown} as of {at:%Y-%m-%dT%H:%MZ}; check [prices] and [hash] in the site file, "
            "or give --archive or --at so that prices not older than a day are known"
        ) from None
    return found
