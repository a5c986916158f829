"""The global stop on a running site: with the control loop hung, with the ledger locked, across a restart; and its end."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

from dispatch.store.spare_journal import waiting_entries
from tests.e2e.site import Site, run_json

AWAKE_MW, ASLEEP_MW = 0.2, 0.06


def load_mw(site: Site) -> float:
    return float(site.get("state")["load_mw"])


def holds(site: Site) -> list[str]:
    return [hold["id"] for hold in site.get("state")["holds"]]


def stopped(data: Path, wait_s: int) -> Any:
    return run_json("stop", "--data", data, "--by", "anna", "--wait", str(wait_s), timeout=90)


def test_a_stop_works_with_the_loop_hung_and_with_the_ledger_locked(tmp_path: Path) -> None:
    data = tmp_path / "data"
    site = Site(data)
    site.start()
    try:
        site.wait("rigs awake", lambda: load_mw(site) > AWAKE_MW)
        loop = site.processes()["loop"]
        os.kill(loop, signal.SIGSTOP)
        direct = stopped(data, 1)
        assert not direct["read_by_loop"] and direct["direct"]["not_taken"] == 0 and direct["direct"]["load_mw"] < ASLEEP_MW
        os.kill(loop, signal.SIGCONT)
        site.wait("the loop to read the stop", lambda: "global-stop" in holds(site))
        site.wait("rigs asleep", lambda: load_mw(site) < ASLEEP_MW)
        os.kill(site.processes()["loop"], signal.SIGTERM)  # the loop alone: it is started again, and the stop stands
        site.wait("another loop", lambda: site.processes().get("loop", loop) != loop)
        site.wait("the site ready", lambda: site.http.get("/api/v1/health/ready").status_code == 200)
        assert "global-stop" in holds(site) and load_mw(site) < ASLEEP_MW
        assert [h["by"] for h in run_json("hold", "list", "--data", data)["holds"]] == ["anna"]
        assert run_json("resume", "--data", data)["by"] == "anna"
        site.wait("rigs awake again", lambda: "global-stop" not in holds(site) and load_mw(site) > AWAKE_MW)
        with sqlite3.connect(data / "ledger.sqlite", isolation_level=None) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            assert stopped(data, 20)["read_by_loop"]
            site.wait("entries in the spare file", lambda: waiting_entries(data) >= 2)
            ledger.execute("ROLLBACK")
        site.wait("rigs asleep, and the journal to say so", lambda: load_mw(site) < ASLEEP_MW and waiting_entries(data) == 0)
    finally:
        site.stop()
    assert run_json("verify", data)["findings"] == [] and run_json("redecide", data)["findings"] == []
