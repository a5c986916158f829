"""A contract that raises, in whatever it is asked, is named and left out; the site goes on with the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.site_file.contract_checks import contract_faults
from dispatch.store.journal import MemoryJournal
from optimizer.domain.contract import Contract
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import small

HOUR = timedelta(hours=1)
# What depends on the site alone is asked once by `check`; the rest may raise at any instant.
ASKED_BY_CHECK = (
    "check_site", "excludes", "generator", "limits", "market", "memory_days", "memory_from", "needs_own_meter", "options", "peak_windows",
    "promised_mw", "protects_uptime", "reserve_products", "service", "settlement_points", "settles_energy", "settles_generation",
    "settles_hash", "stop_prices", "weighs_changes",
)  # fmt: skip
ASKED_IN_A_RUN = (
    "bounds", "charges", "generator", "limits", "memory_from", "reasons", "remember", "settles_energy", "settles_hash", "shape",
    "shortfalls",
)  # fmt: skip


def failing(ability: str) -> Contract:
    """A contract of which one ability raises."""

    def raises(self: Contract, *_: Any, **__: Any) -> Any:
        raise RuntimeError(f"no {ability}")

    body: dict[str, Any] = {"__module__": __name__, "__annotations__": {"type": ClassVar[str], "name": str}, "type": "bad", "name": "bad"}
    if ability == "remember":
        body["memory_days"] = lambda self: 31
    return type("Bad", (Contract,), {**body, ability: raises})()


@pytest.mark.parametrize("ability", ASKED_BY_CHECK)
def test_check_names_a_contract_that_raises(ability: str) -> None:
    setup = small()
    faults = list(contract_faults(setup.site, [(None, setup.book[0]), (1, failing(ability))]))
    assert [fault.where for fault in faults] == [("obligations", 1)]
    assert faults[0].what == f"contract 'bad' failed when it was asked about the site: RuntimeError('no {ability}')"


@pytest.mark.parametrize("ability", ASKED_IN_A_RUN)
async def test_the_loop_goes_on_when_a_contract_raises(ability: str) -> None:
    setup = small()
    setup = replace(setup, book=(*setup.book, failing(ability)))
    facts = [hashprice(45.0, NOON), *prices([20.0] * 24, NOON - 2 * HOUR)]
    journal = MemoryJournal()
    state = State.start(setup, lambda _: setup)
    started = run_started("replay", setup, NOON, 1)
    state = await loop.run(world(setup, NOON, facts), journal, state, started, NOON + 1.25 * HOUR)
    plans = [entry.plan for _, entry in journal.read() if isinstance(entry, Planned)]
    assert plans and all(plan is not None for plan in plans)
    said = [*(reason for plan in plans if plan for reason in plan["reasons"]), *state.alerts.values()]
    assert any("bad" in text and f"no {ability}" in text for text in said), f"nobody says that it failed: {said}"
    assert state.plan is not None and state.plan["intervals"][0]["load_mw"] > 0.2
