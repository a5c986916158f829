"""Strategies on the simulated fleet: what they may know, and that the backtest runs this product as the control loop does."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from dispatch.backtest.part import setup_of
from dispatch.entries import Commanded, entry_to_json
from dispatch.runtime.price_sources import polled_sources
from dispatch.service.replay import replay
from dispatch.sim.strategies import AlwaysOn, Loadstone, Strike
from dispatch.sim.strategy_run import run_strategy
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from markets.facts import Price
from markets.grid import Grid
from tests.dispatch.backtest.archives import archive_of, site_file, spiky_prices

START = datetime(2024, 8, 6, 5, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backtest")
    archive = archive_of(folder / "archive", START - DAY, spiky_prices(4))
    return setup_of(site_file(folder), archive)


def facts_of(setup, until):
    source = polled_sources(setup, lambda: until)[0].source
    hashprice = polled_sources(setup, lambda: until)[1].source
    found = [*asyncio.run(source.fetch(START - 2 * DAY, until)), *asyncio.run(hashprice.fetch(START - 2 * DAY, until))]
    return sorted(found, key=lambda fact: fact.known_at)


def scrambled_price(fact, rng):
    return replace(fact, usd_per_mwh=round(float(rng.uniform(-200, 2000)), 2)) if isinstance(fact, Price) else fact


def as_bytes(decisions, until):
    return b"\n".join(json.dumps(entry_to_json(d), sort_keys=True).encode() for d in decisions if d.at <= until)


@pytest.mark.parametrize("strategy", [Loadstone, lambda: Strike("one_strike"), lambda: Strike("model_strike"), AlwaysOn])
def test_no_decision_changes_when_every_later_fact_is_scrambled(setup, strategy):
    grid, facts = Grid.regular(START, START + DAY, 15), facts_of(setup, START + DAY)
    rng = np.random.default_rng(3)
    as_it_was = run_strategy(setup, grid, facts, strategy()).decisions
    for hour in (6, 19.5):
        now = START + timedelta(hours=hour)
        scrambled = [scrambled_price(f, rng) if f.known_at > now else f for f in facts]
        decisions = run_strategy(setup, grid, scrambled, strategy()).decisions
        assert as_bytes(decisions, now) == as_bytes(as_it_was, now)
        if strategy is Loadstone and hour < 19:
            assert as_bytes(decisions, grid.end) != as_bytes(as_it_was, grid.end)


def test_the_backtest_decides_as_the_control_loop_does(setup, tmp_path):
    """Every order is the same, to the second and to the rig."""
    end = START + DAY
    asyncio.run(replay(setup, tmp_path, START, end))
    journal = [entry for _, entry in SqlJournal(open_ledger(tmp_path), 0).read(0)]
    ordered = [(e.at, [(o.group, o.mode, o.rigs) for o in e.orders]) for e in journal if isinstance(e, Commanded) and e.orders]
    run = run_strategy(setup, Grid.regular(START, end, 15), facts_of(setup, end), Loadstone())
    assert [(d.at, [(o.group, o.mode, o.rigs) for o in d.orders]) for d in run.decisions if d.orders] == ordered
    assert len(ordered) > 4
