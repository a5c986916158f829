"""What a call will be missed by, and what the meters say, is named in the state and its alerts, on the page and in the packet of a call."""

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
        page = http.get("/").text
    last = packet["shortfalls"][-1]
    missed_mw = state["load_mw"] - 0.01
    assert last["mw"] == pytest.approx(missed_mw, abs=0.004) and missed_mw > 0.02
    named_at = next(parse_instant(s["at"]) for s in packet["shortfalls"] if s["mw"] > 0)
    assert named_at <= NOON + timedelta(minutes=30) + timedelta(seconds=setup.site.tick_s)
    text = f"plant is missed by {last['mw']:.3f} MW with every rig that obeys"
    assert {"source": "shortfall of plant", "message": text} in state["alerts"] and text in page
    assert packet["decisions"][-1]["shortfall_mw"] == {"plant": last["mw"]}


METERED = [{"id": "main", "driver": {"kind": "modbus", "host": "meter.invalid", "register": 0}}]
FULL_MW = 0.26


@pytest.mark.parametrize("lies", [False, True], ids=["a load the rigs do not show", "stuck high"])
def test_what_is_shown_and_what_a_packet_is_judged_by_come_from_the_meter(lies: bool, tmp_path: Path) -> None:
    """A packet said that a call was reached where the meter read three times its cap. Where the meter does not follow its rigs, the rigs
    judge, and that is said."""
    setup, called = small(meters=METERED), {**CALL, "end_at": (NOON + timedelta(hours=3)).isoformat(), "mw_cap": 0.03}
    reads = (lambda mw, at: FULL_MW) if lies else (lambda mw, at: mw + 0.05)
    end = run_site(tmp_path, setup, 1.0, pushed=[("call", called)], meter_reads=reads)
    with served(tmp_path, setup, end) as address, httpx.Client(base_url=address, timeout=60) as http:
        state, packet = http.get("/api/v1/state").json(), http.get("/api/v1/events/call-1").json()
        page, metrics = http.get("/").text, http.get("/metrics").text
    summary, meter = packet["summary"], state["meters"][0]
    if lies:
        assert meter["meter"] == "meter main" and meter["mw"] == pytest.approx(FULL_MW) and "changed by" in meter["doubt"]
        assert state["load_mw"] == pytest.approx(state["rigs_mw"]) and state["load_mw"] <= 0.03
        assert meter["doubt"] in page and summary["meter_doubts"] == [f"meter main: {meter['doubt']}"]
        assert packet["load"][-1]["judged_by"] == "rigs" and summary["judged_by"] == "rigs"
        assert 'loadstone_meter_believed{meter="meter main"} 0.0' in metrics
    else:
        assert state["load_mw"] == pytest.approx(meter["mw"]) == pytest.approx(state["rigs_mw"] + 0.05, abs=1e-3)
        assert summary["judged_by"] == "meter" and summary["reached_at"] is None, "every rig sleeps, and 0.05 MW are drawn all the same"
        assert packet["load"][-1]["load_mw"] > 0.05 > packet["load"][-1]["rigs_mw"]
        assert packet["shortfalls"][-1]["mw"] == pytest.approx(state["load_mw"] - 0.03, abs=0.002)
        assert 'loadstone_meter_believed{meter="meter main"} 1.0' in metrics
