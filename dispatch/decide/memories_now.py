"""The memory of every contract at an instant, made in one place for plan and reflex: days, loads at notice, and what generators do."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from dispatch.decide.state import State
from dispatch.entries import GeneratorSeen
from markets.grid import Grid, parse_instant
from markets.series import Series
from optimizer.domain.book import complete_memories
from optimizer.domain.generator import GeneratorMemory
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.memory import Memory
from optimizer.planning.plan_json import planned_interval

# The words of dispatch.meters.generator.GeneratorState, which the journal holds.
UNREAD, RUNNING, STARTING = "unknown", "running", "starting"
ANY_MW = 0.001  # more than nothing: a generator that runs and is not read


def memories_now(state: State, at: datetime, failures: PluginFailures | None = None) -> dict[str, Memory]:
    """By contract name, for the whole book. What a contract raises goes to `failures`, and it has none."""
    failures, found, machines = failures or PluginFailures(), dict[str, Memory](), _generators(state, at)
    for obligation in state.setup.book:
        with failures.of(obligation):
            found |= complete_memories((obligation,), state.contract_memories.by_contract, dict(state.notice_mw), machines, state.awards)
    return found


def _generators(state: State, at: datetime) -> dict[str, GeneratorMemory]:
    """What each generator makes, by contract name: as it was read where it is metered, else as the plan in force until `at` has it."""
    interval = planned_interval(state.plan, at - timedelta(seconds=1)) if state.plan is not None else None
    machines = interval.get("generation", {}) if interval else {}
    planned = {name: GeneratorMemory(running_mw=m["mw"], since=parse_instant(m["since"])) for name, m in machines.items()}
    read = {name: seen for name, seen in state.generators.items() if seen.state != UNREAD}
    return planned | {name: _as_read(seen, planned.get(name)) for name, seen in read.items()}


def _as_read(seen: GeneratorSeen, planned: GeneratorMemory | None) -> GeneratorMemory:
    """One that runs makes what its meter says, or what is planned; one that is starting counts as running."""
    if seen.state not in (RUNNING, STARTING):
        return GeneratorMemory(running_mw=0.0, since=seen.since)
    likely_mw = planned.running_mw if planned is not None and planned.runs else ANY_MW
    return GeneratorMemory(running_mw=seen.mw if seen.mw and seen.mw > ANY_MW else likely_mw, since=seen.since)


def out_of_order(state: State, grid: Grid) -> dict[str, Series]:
    """By contract whose generator failed: what it can make over a grid, MW: nothing until it may be started again, and no limit (NaN)
    from then on."""
    starts_s = grid.edges[:-1]
    out = {name: seen.out_until for name, seen in state.generators.items() if seen.out_until is not None}
    return {name: Series(grid, np.where(starts_s < until.timestamp(), 0.0, np.nan), "mw") for name, until in out.items()}
