"""A site file that `check` accepts runs: random site files, valid and broken, each loaded and then run for an hour of simulated time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from dispatch import ConfigError
from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store.journal import MemoryJournal
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import group

SITES, SAMPLE = 300, 20
HOUR = timedelta(hours=1)
POINTS = {"ercot": ("LZ_WEST", "LZ_NORTH", "HB_NORTH"), "miso": ("INDIANA.HUB", "ILLINOIS.HUB", "MINN.HUB")}
ERCOT = (
    {"type": "transmission", "method": "4cp", "usd_per_kw_year": 70.0},
    {"type": "ancillary", "products": ["ECRS"], "qualified_mw": {"ECRS": 0.05}},
    {"type": "ers", "product": "ERS-30", "mw": 0.1, "max_base_load_mw": 0.01, "usd_per_mw_hour": 7.25,
     "periods": [{"name": "TP2", "months": [6, 7, 8, 9], "weekdays": True, "hours": [9, 10, 11, 12, 13]}]},
)  # fmt: skip
MISO = ({"type": "lmr", "zone": 6, "mw": 0.1, "firm_service_mw": 0.02}, {"type": "pra", "zone": 6})
BROKEN: tuple[Any, ...] = (None, -1, 0, "", "x", [], {}, [1], {"a": 1}, True, 1e12)


def random_document(rng: np.random.Generator) -> dict[str, Any]:
    """Meters at points of their own, halls, groups, and a few contracts with or without a scope."""
    market = str(rng.choice(["ercot", "miso"]))
    points = [str(p) for p in rng.permutation(POINTS[market])]
    names = [f"m{k}" for k in range(int(rng.integers(1, 4)))]
    meters: list[dict[str, Any]] = [
        {"id": m} | ({"settlement_point": str(rng.choice(points))} if rng.random() < 0.8 else {}) for m in names
    ]
    for meter in meters:
        meter |= {"import_mw": float(rng.uniform(0.05, 1.0))} if rng.random() < 0.3 else {}
    halls = [{"name": h, "meter": str(rng.choice(names)), "limit_mw": float(rng.uniform(0.02, 0.5))} for h in "ab"]
    groups = [group(f"g-{h}", h, watts=3000.0, ths=float(rng.uniform(90, 200)), rigs=int(rng.integers(1, 40))) for h in "ab"]
    for one in groups:
        one |= {"tenant": "guest"} if rng.random() < 0.3 else {}
    site = {"name": "S", "market": market, "settlement_point": points[0], "interconnect_mw": float(rng.uniform(0.05, 1.0)), "horizon_h": 12,
            "safe_state": str(rng.choice(["hold", "sleep", "run"]))}  # fmt: skip
    contracts = [
        {"type": "block", "mw": 0.05, "usd_per_mwh": 30.0, **({"sell_back": {}} if rng.random() < 0.5 else {})},
        {"type": "hosting", "usd_per_mwh": 80.0, "scope": {"tenant": "own"}},
        {"type": "generation", "mw": 0.1, "fuel_usd_per_mmbtu": 3.0, "heat_rate_mmbtu_per_mwh": 9.0, "scope": {"meter": names[0]}},
        *(ERCOT if market == "ercot" else MISO),
    ]
    book = [{"type": "power"}]
    for contract in contracts:
        if rng.random() < 0.4:
            book.append(random_scope(rng, names) | contract)
    return {"site": site, "meters": meters, "halls": halls, "groups": groups, "prices": {"source": "synthetic", "seed": 1},
            "hash": {"source": "fixed", "usd_per_ph_day": 45.0}, "obligations": book}  # fmt: skip


def random_scope(rng: np.random.Generator, meters: list[str]) -> dict[str, Any]:
    scopes = ({}, {"scope": {"meter": str(rng.choice(meters))}}, {"scope": {"hall": "a"}}, {"scope": {"tenant": "own"}})
    return scopes[int(rng.integers(len(scopes)))]


def damaged(rng: np.random.Generator, document: dict[str, Any]) -> dict[str, Any]:
    """With one value anywhere in it replaced or left out."""
    at: Any = document
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.9:
            at = at[key]
            continue
        if rng.random() < 0.3:
            del at[key]
        else:
            at[key] = BROKEN[int(rng.integers(len(BROKEN)))]
        return document


async def check_then_run(seed: int) -> bool:
    """Whether the site file was accepted; if it was, it ran to its end."""
    rng = np.random.default_rng([seed, 14])
    document = random_document(rng)
    try:
        setup = setup_from_document(damaged(rng, document) if rng.random() < 0.4 else document)
    except ConfigError as refused:
        assert refused.faults and all(": " in fault for fault in refused.faults)
        return False
    await runs(setup, rng)
    return True


async def runs(setup: Setup, rng: np.random.Generator) -> None:
    """An hour with random prices: every plan is made, and no contract fails."""
    facts = [hashprice(45.0, NOON)]
    for point in setup.settlement_points:
        facts += prices(rng.uniform(-20, 120, 16), NOON - 2 * HOUR, point=point)
    journal = MemoryJournal()
    state = State.start(setup, setup_from_document)
    state = await loop.run(world(setup, NOON, facts), journal, state, run_started("replay", setup, NOON, 1), NOON + HOUR)
    plans = [entry for _, entry in journal.read() if isinstance(entry, Planned)]
    assert plans and all(p.plan is not None for p in plans), [p.failed for p in plans if p.plan is None][:1]
    failed = [reason for p in plans if p.plan for reason in p.plan["reasons"] if "failed" in reason]
    assert not failed and not [a for a in state.alerts.values() if "failed" in a], failed[:1]


@pytest.mark.slow(sample="only")
async def test_a_site_file_that_is_accepted_runs_in_a_sample() -> None:
    assert any([await check_then_run(seed) for seed in range(SAMPLE)])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SITES, 50))
async def test_a_site_file_that_is_accepted_runs(first: int) -> None:
    assert any([await check_then_run(seed) for seed in range(first, first + 50)])


async def test_a_block_over_two_settlement_points_settles_at_the_sites_own() -> None:
    """No meter is at the site's own settlement point, so nothing else asks for its price."""
    rng = np.random.default_rng(1)
    document = random_document(rng)
    document["site"] |= {"market": "ercot", "settlement_point": "LZ_NORTH"}
    document["meters"] = [{"id": "m0", "settlement_point": "LZ_WEST"}, {"id": "m1", "settlement_point": "HB_NORTH"}]
    document["halls"] = [{"name": h, "meter": m, "limit_mw": 0.5} for h, m in (("a", "m0"), ("b", "m1"))]
    for scope in ({}, {"scope": {"meter": "m1"}}):
        document["obligations"] = [{"type": "power"}, {"type": "block", "mw": 0.05, "usd_per_mwh": 30.0, **scope}]
        setup = setup_from_document(document)
        assert set(setup.settlement_points) == {"LZ_WEST", "HB_NORTH"} | ({"LZ_NORTH"} if not scope else set())
        await runs(setup, rng)
