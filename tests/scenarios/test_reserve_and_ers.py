"""An afternoon of a site that sells reserve behind one meter and ERS behind another, through the whole loop."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from dispatch.decide.state import State
from dispatch.entries import Planned
from dispatch.runtime import loop
from dispatch.runtime.redecide import redecide
from dispatch.service.replay import run_started
from dispatch.sim.fleet import Fleet
from dispatch.sim.spec import spec_of
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal
from markets.facts import Award, Call, CallKind, ReservePrice
from markets.grid import Interval
from tests.dispatch.worlds import world
from tests.fakes import NOON, hashprice, prices
from tests.sites import small

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
DAY = Interval(NOON, NOON + 24 * HOUR)


def site_with_services(**more: Any) -> Any:
    """Hall a, 0.12 MW, is the controllable load; hall b, 0.14 MW, promises to drop 0.1 MW to its base load of 0.03."""
    halls = [{"name": h, "meter": m, "limit_mw": 0.5} for h, m in (("a", "clr"), ("b", "ers"))]
    hours = list(range(24))
    return small(
        meters=[{"id": "clr"}, {"id": "ers"}],
        halls=halls,
        obligations=[
            {"type": "power"},
            {"type": "ancillary", "scope": {"meter": "clr"}, "products": ["ECRS", "NSPIN"], "qualified_mw": {"ECRS": 0.08}},
            {
                "type": "ers", "scope": {"meter": "ers"}, "product": "ERS-10", "mw": 0.1, "max_base_load_mw": 0.03, "usd_per_mw_hour": 7.25,
                "periods": [{"name": "always", "months": list(range(1, 13)), "hours": hours}],
            },
        ],
        **more,
    )  # fmt: skip


def call(obligation: str, id_: str, start: datetime, end: datetime, mw: float) -> Call:
    return Call(source="qse", known_at=start, id=id_, version=1, obligation=obligation, kind=CallKind.DEPLOY, notice_at=start,
                start_at=start, end_at=end, mw_cap=mw)  # fmt: skip


def facts() -> list[Any]:
    reserve = [
        ReservePrice(source="test", known_at=NOON - HOUR, product=p, market="DAM", over=DAY, usd_per_mw_h=usd)
        for p, usd in (("ECRS", 20.0), ("NSPIN", 5.0))
    ]
    sold = Award(source="qse", known_at=NOON - HOUR, obligation="ancillary", product="ECRS", market="DAM", over=DAY, mw=0.05,
                 mcpc_usd_per_mw_h=20.0)  # fmt: skip
    calls = [
        call("ancillary", "reserve", NOON + HOUR, NOON + HOUR + 30 * MINUTE, 0.02),
        call("ers", "emergency", NOON + 2 * HOUR, NOON + 3 * HOUR, 0.05),
    ]
    return [*prices([30.0] * 32, NOON - 2 * HOUR), hashprice(45.0, NOON - HOUR), *reserve, sold, *calls]


async def test_reserve_and_emergency_response_in_one_afternoon() -> None:
    setup = site_with_services()
    fleet = Fleet(spec_of(setup.site.groups), 0, NOON.timestamp())
    made, journal, loads = world(setup, NOON, facts(), fleet=fleet), MemoryJournal(), {}

    async def after(at: datetime, _: State) -> None:
        loads[at] = {g.name: float(np.nansum(fleet.truth(g.name, np.arange(g.rigs))[0])) / 1e6 for g in setup.site.groups}

    state = await loop.run(
        made, journal, State.start(setup, setup_from_document), run_started("replay", setup, NOON, 1), NOON + 4 * HOUR, after
    )

    def most(group: str, start: datetime, end: datetime) -> float:
        return max(mw[group] for at, mw in loads.items() if start <= at < end)

    assert most("a-old", NOON + HOUR, NOON + HOUR + 30 * MINUTE) <= 0.02
    assert most("b-new", NOON + HOUR, NOON + HOUR + 30 * MINUTE) > 0.13, "reserve is not called from the other meter"
    assert most("b-new", NOON + 2 * HOUR, NOON + 2 * HOUR + 10 * MINUTE) <= 0.05
    assert most("b-new", NOON + 2 * HOUR + 15 * MINUTE, NOON + 3 * HOUR) <= 0.03, "sustained: the base load, not the call's figure"
    assert most("a-old", NOON + 2 * HOUR, NOON + 3 * HOUR) > 0.11
    assert min(loads[max(loads)].values()) > 0.11, "all is back an hour later"

    plans = [e.plan for _, e in journal.read() if isinstance(e, Planned) and e.plan]
    quiet = plans[-1]["intervals"][0]["offers"]
    assert quiet["ECRS"] == pytest.approx(0.08, abs=1e-6)
    assert 0 < quiet["NSPIN"] <= 0.04
    assert plans[-1]["lines"]["ancillary/ecrs_day_ahead"] > 0
    called = [i["offers"]["ECRS"] for p in plans for i in p["intervals"] if i["start"] == (NOON + HOUR).isoformat()]
    assert called[-1] <= 0.02, "what is dropped is not kept ready as well"
    assert any("ers: availability" in reason for reason in plans[-1]["reasons"])
    memory = state.contract_memories.by_contract["ers"]
    assert memory.obligated_h == memory.available_h == 2.0, "three whole hours, the third an event"
    assert memory.event_done / memory.event_weight == pytest.approx(1.0, abs=0.01), "the way down takes seconds, and is read as such"
    assert memory.deployed_h == pytest.approx(50 / 60, abs=0.01)
    assert not redecide(journal.read()).findings


def test_a_contract_keeps_its_rules_when_pickled_for_the_planner_process() -> None:
    book = site_with_services().book
    assert pickle.loads(pickle.dumps(book)) == book
    assert pickle.loads(pickle.dumps(book))[3].figure("event_full", NOON.date()) == 0.95
