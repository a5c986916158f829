"""Start-up from a snapshot: the same state as from the journal's first row, and a snapshot that does not match is passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grimp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from dispatch import ConfigError
from dispatch.decide.decide import decide
from dispatch.decide.state import State
from dispatch.decide.state_json import state_from_json, state_to_json
from dispatch.decide.value_json import value_from_json, value_to_json
from dispatch.entries import Entry
from dispatch.runtime import loop, recovery
from dispatch.runtime.recovery import FOLDED_BY, ROWS_AT_LEAST, StateSnapshots
from dispatch.service.replay import run_started
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger, reading, snapshots, writing
from markets.factbook import FactBook
from markets.facts import Fact
from tests.dispatch.runtime.test_random_sites import random_document
from tests.dispatch.store.entries import entries, facts
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import small

HOUR = timedelta(hours=1)
# Imported by the fold and never run by it: how plans are made and orders sent.
NOT_FOLDED_BY = ("optimizer.lp", "optimizer.planning", "optimizer.solve", "dispatch.rigs", "dispatch.meters", "dispatch.store")


def run_for(engine: Engine, setup: Setup, start: Any, hours: float, rng: np.random.Generator, state: State | None = None) -> SqlJournal:
    """The loop over random prices into a ledger, from `state` on."""
    token = lease.take(engine, "tests", 1e6)
    assert token is not None
    journal, known = SqlJournal(engine, token), [hashprice(45.0, NOON)]
    ahead: list[Fact] = [*known]
    for point in setup.settlement_points:
        ahead += prices(rng.uniform(-20, 150, 200), NOON - 2 * HOUR, point=point)
    made = world(setup, start, ahead, inbox=Inbox(engine), seed=int(rng.integers(100)))
    state = state or State.start(setup, setup_from_document)
    asyncio.run(loop.run(made, journal, state, run_started("replay", setup, start, token), start + hours * HOUR))
    return journal


def valid_document(rng: np.random.Generator) -> dict[str, Any]:
    while True:
        document = random_document(rng)
        try:
            setup_from_document(document)
            return document
        except ConfigError:
            continue


def states(setup: Setup, rows: list[tuple[int, Entry]], first: State | None = None) -> Iterator[State]:
    state = first or State.start(setup, setup_from_document)
    for seq, entry in rows:
        if seq > state.seq:
            state = state.after(entry, seq)
            yield state


@pytest.mark.parametrize("seed", range(3))
def test_from_any_row_the_fold_goes_on_as_from_the_first(seed: int, tmp_path: Path) -> None:
    """Random sites with random contracts, a call, an award and a hold, and a restart with another site file."""
    rng = np.random.default_rng([seed, 11])
    document = valid_document(rng)
    setup, other = setup_from_document(document), setup_from_document(document | {"hash": {"source": "fixed", "usd_per_ph_day": 44.0}})
    engine = open_ledger(tmp_path)
    Inbox(engine).put("hold", {"group": "g-a", "mw_cap": 0.01, "until": (NOON + HOUR).isoformat(), "by": "Ann"}, "tests")
    run_for(engine, setup, NOON, 2, rng)
    rows = list(run_for(engine, other, NOON + 2 * HOUR, 1, rng).read())
    whole = list(states(setup, rows))
    for state in whole[:: max(1, len(whole) // 12)]:
        blank = State.start(setup, setup_from_document)
        again = state_from_json(state_to_json(state), blank)
        assert state_to_json(again) == state_to_json(state) and again.setup.hash_id == state.setup.hash_id
        after = [again, *states(setup, rows, again)][-1]
        assert state_to_json(after) == state_to_json(whole[-1])
        at = rows[-1][1].at
        assert decide(after, at, 1) == decide(whole[-1], at, 1)
    engine.dispose()


@given(st.lists(facts, max_size=6), entries)
def test_every_fact_and_entry_is_read_back(known: list[Fact], entry: Entry) -> None:
    for value in (FactBook(quarantined=tuple(known)), entry):
        assert value_from_json(value_to_json(value)) == value


def test_only_value_classes_are_made_of_a_document() -> None:
    for name in ("os:system", "subprocess:Popen", "dispatch.store.journal:SqlJournal", "nowhere:Thing"):
        with pytest.raises(ValueError, match="is not a value class"):
            value_from_json({name: {}})
    with pytest.raises(TypeError, match="no form in JSON"):
        value_to_json(object())


def test_a_start_reads_the_rows_since_the_newest_snapshot(tmp_path: Path) -> None:
    setup, rng, engine = small(), np.random.default_rng(3), open_ledger(tmp_path)
    journal = run_for(engine, setup, NOON, 14, rng)
    snapshots_of = StateSnapshots(engine, setup)
    state = loop.fold(State.start(setup, setup_from_document), journal)
    assert state.seq > ROWS_AT_LEAST
    asyncio.run(_after_tick(snapshots_of, state))
    found = StateSnapshots(engine, setup).recovered(State.start(setup, setup_from_document))
    assert found.seq == state.seq and state_to_json(found) == state_to_json(state)
    journal = run_for(engine, setup, NOON + 14 * HOUR, 1, rng, found)
    whole, since = (loop.fold(first, journal) for first in (State.start(setup, setup_from_document), found))
    assert since.seq > state.seq and state_to_json(since) == state_to_json(whole)
    engine.dispose()


async def _after_tick(snapshots_of: StateSnapshots, state: State) -> None:
    assert state.at is not None
    await snapshots_of(state.at, state)
    await snapshots_of.finish()


@pytest.mark.parametrize("damage", ["hash", "bytes", "kind", "schema"])
def test_a_snapshot_that_does_not_match_is_passed_over(damage: str, tmp_path: Path) -> None:
    setup, engine = small(), open_ledger(tmp_path)
    journal = run_for(engine, setup, NOON, 14, np.random.default_rng(3))
    state = loop.fold(State.start(setup, setup_from_document), journal)
    asyncio.run(_after_tick(StateSnapshots(engine, setup), state))
    change = {
        "hash": f"hash = '{'0' * 64}'",
        "bytes": "packed = CAST(substr(packed, 1, 200) || X'00' AS BLOB)",
        "kind": "packed = 'text'",
        "schema": "schema = 'x'",
    }
    with writing(engine) as connection:
        assert connection.execute(select(snapshots.c.seq)).scalars().all() == [state.seq]
        connection.execute(text(f"UPDATE snapshots SET {change[damage]}"))
    assert StateSnapshots(engine, setup).recovered(State.start(setup, setup_from_document)).seq == 0
    asyncio.run(_after_tick(StateSnapshots(engine, setup), state))  # made again
    assert StateSnapshots(engine, setup).recovered(State.start(setup, setup_from_document)).seq == state.seq
    with reading(engine) as connection:
        assert len(connection.execute(select(snapshots.c.seq)).all()) == 1
    engine.dispose()


def test_the_schema_covers_all_code_that_folds() -> None:
    graph = grimp.build_graph("markets", "optimizer", "dispatch")

    def covered(module: str) -> bool:
        parts = (f"{package.__name__}.{part.removesuffix('.py').replace('/', '.')}".rstrip(".") for package, part in FOLDED_BY)
        return any(module == part or module.startswith(f"{part}.") for part in parts)

    imported = {m for m in graph.find_upstream_modules("dispatch.decide.state") if "." in m and not covered(m)}
    assert not {m for m in imported if not m.startswith(NOT_FOLDED_BY)}
    assert len(recovery.fold_schema(small())) == 64
