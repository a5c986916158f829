"""The memory of every contract at an instant, made in one place for plan and reflex: days, loads at notice, and what generators do."""

from __future__ import annotations

from datetime import datetime, timedelta

from dispatch.decide.state import State
from markets.grid import parse_instant
from optimizer.domain.book import complete_memories
from optimizer.domain.generator import GeneratorMemory
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.memory import Memory
from optimizer.planning.plan_json import planned_interval


def memories_now(state: State, at: datetime, failures: PluginFailures | None = None) -> dict[str, Memory]:
    """By contract name, for the whole book. What a contract raises goes to `failures`, and it has none."""
    failures, found, machines = failures or PluginFailures(), dict[str, Memory](), _generators(state, at)
    for obligation in state.setup.book:
        with failures.of(obligation):
            found |= complete_memories((obligation,), state.contract_memories.by_contract, dict(state.notice_mw), machines)
    return found


def _generators(state: State, at: datetime) -> dict[str, GeneratorMemory]:
    """What the plan in force until `at` has each generator make, by contract name."""
    interval = planned_interval(state.plan, at - timedelta(seconds=1)) if state.plan is not None else None
    machines = interval.get("generation", {}) if interval else {}
    return {name: GeneratorMemory(running_mw=m["mw"], since=parse_instant(m["since"])) for name, m in machines.items()}
