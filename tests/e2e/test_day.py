"""The demonstration's day, from the command line to the statement (issue: the site runs)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.e2e.site import Site, answer, running

START = "2026-08-20T05:00:00Z"  # midnight in Texas


def test_a_newcomer_sees_rigs_follow_a_price(tmp_path: Path) -> None:
    """Without any file: a page with a plan, and rigs moved over TCP."""
    with running(tmp_path / "data") as site:
        state = site.wait("a plan", lambda: (s := site.get("state"))["plan_age_s"] is not None and s, 60)
        assert state["world"] == "live" and state["reasons"]
        fleet = site.wait("200 rigs", lambda: (f := site.get("fleet"))["reachable"] >= 200 and f, 60)
        assert fleet["rigs"] >= 200
        site.wait("200 rigs moved", lambda: moved(tmp_path / "data") >= 200, 60)
        page = httpx.get(f"http://127.0.0.1:{site.port}/", trust_env=False)
        assert page.status_code == 200 and "synthetic" in page.text.lower()
        plan = site.get("plan")
        assert plan["intervals"] and set(plan["intervals"][0]["groups"]) == set(fleet["groups"])


def moved(data: Path) -> int:
    """Rigs whose mode a client's command has changed."""
    import json

    log = data / "rigs.jsonl"
    rows = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    return len({row["rig"] for row in rows if row.get("effective")})


@pytest.mark.parametrize(
    "hours",
    [pytest.param(3, marks=pytest.mark.slow(sample=True)), pytest.param(24, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_a_day_at_speed_300(hours: int, tmp_path: Path) -> None:
    """Runs to its end by itself; a call in the middle holds from the next tick until its recall; the statement is there."""
    data = tmp_path / "data"
    start = datetime.fromisoformat(START)
    until = start + timedelta(hours=hours)
    secret = answer("keys", "add", "qse", "--scope", "dispatch", "--data", data)["secret"]
    with running(data, "--from", START, "--until", until.isoformat(), "--speed", "300") as site:
        noon = start + timedelta(hours=hours / 2)
        site.wait("noon", lambda: datetime.fromisoformat(site.get("state")["at"]) >= noon, hours * 14 + 60)
        capped_at = call(site, secret, "deploy", mw_cap=0.2)
        site.wait("the cap", lambda: site.get("state")["load_mw"] <= 0.2, 30)
        site.wait("an hour under it", lambda: datetime.fromisoformat(site.get("state")["at"]) >= capped_at + timedelta(minutes=50), 30)
        assert site.get("state")["load_mw"] <= 0.2
        call(site, secret, "recall")
        assert site.ended(hours * 14 + 90) == 0, site.tail()
    assert answer("verify", data)["findings"] == []
    again = answer("redecide", data)
    assert again["findings"] == [] and again["plans"] > hours
    day = start.date().isoformat()
    statement = answer("settle", day, "--data", data)
    assert statement["date"] == day and statement["net_usd"]
    assert (data / "settlements" / day).is_dir()


def call(site: Site, secret: str, kind: str, **figures: float) -> datetime:
    """Post; returns the site's time then."""
    at = datetime.fromisoformat(site.get("state")["at"])
    document = {"id": "noon", "obligation": "plant", "kind": kind, **figures}
    reply = site.http.post("/api/v1/calls", json=document, headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": kind})
    assert reply.status_code in (200, 201, 202), reply.text
    return at
