"""What a call will be missed by is named in the state and its alerts, on the page, in the metrics' count and in the call's packet."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from dispatch.sim.spec import RigFault, ScheduledFault
from markets.grid import parse_instant
from tests.dispatch.web.conftest import CALL
from tests.dispatch.web.served import run_site, served
from tests.fakes import NOON
from tests.sites import small


def test_a_shortfall_is_named_within_a_tick_everywhere(tmp_path: Path) -> None:
    """A third of the rigs accept orders and go on running: the call's cap cannot be kept with the others."""
    setup, called = small(), {**CALL, "end_at": (NOON + timedelta(hours=3)).isoformat(), "mw_cap": 0.01}
    liars = ScheduledFault(RigFault.NO_EFFECT, None, None, 0.3)
    end = run_site(tmp_path, setup, 1.0, pushed=[("call", called)], faults=[liars])
    with served(tmp_path, setup, end) as address, httpx.Client(base_url=address, timeout=60) as http:
        state, packet = http.get("/api/v1/state").json(), http.get("/api/v1/events/call-1").json()
        page = http.get("/now").text
    last = packet["shortfalls"][-1]
    missed_mw = state["load_mw"] - 0.01
    assert last["mw"] == pytest.approx(missed_mw, abs=0.004) and missed_mw > 0.02
    named_at = next(parse_instant(s["at"]) for s in packet["shortfalls"] if s["mw"] > 0)
    assert named_at <= NOON + timedelta(minutes=30) + timedelta(seconds=setup.site.tick_s)
    text = f"plant is missed by {last['mw']:.3f} MW with every rig that obeys"
    assert {"source": "shortfall of plant", "message": text} in state["alerts"] and text in page
    assert packet["decisions"][-1]["shortfall_mw"] == {"plant": last["mw"]}
