"""The demonstration's day, from the command line to the statement."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tomllib
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from markets.facts import Price, PriceMarket, Temperature
from markets.grid import Market
from markets.sources.synthetic import SyntheticSource
from tests.e2e.site import Site, run_json, running_site
from tests.independent_day_bill import GH_PER_PH_DAY, MW_MS_PER_MWH, cents, integrals

ROOT = Path(__file__).parents[2]
START = "2026-08-20T05:00:00Z"  # midnight in Texas


def test_run_without_a_site_file_serves_a_page_and_moves_rigs_by_price(tmp_path: Path) -> None:
    """Without a site file there is a page with a plan, and rigs are moved over TCP."""
    with running_site(tmp_path / "data") as site:
        state = site.wait("a plan", lambda: (s := site.get("state"))["plan_age_s"] is not None and s, 60)
        assert state["world"] == "live" and state["reasons"]
        fleet = site.wait("200 rigs", lambda: (f := site.get("fleet"))["reachable"] >= 200 and f, 60)
        assert fleet["rigs"] >= 200
        site.wait("200 rigs moved", lambda: rigs_moved(tmp_path / "data") >= 200, 60)
        page = httpx.get(f"http://127.0.0.1:{site.port}/", trust_env=False)
        assert page.status_code == 200 and "synthetic" in page.text.lower()
        plan = site.get("plan")
        assert plan["intervals"] and set(plan["intervals"][0]["groups"]) == set(fleet["groups"])


def rigs_moved(data: Path) -> int:
    """How many rigs a client's command has moved to another mode."""
    log = data / "rigs.jsonl"
    rows = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    return len({row["rig"] for row in rows if row.get("effective")})


@pytest.mark.parametrize(
    "hours",
    [pytest.param(3, marks=pytest.mark.slow(sample="only")), pytest.param(24, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_a_simulated_day_with_a_call_settles_to_the_independent_bill(hours: int, tmp_path: Path) -> None:
    """The run ends by itself, a call holds from the next tick until its recall, and the statement equals the independent bill."""
    data = tmp_path / "data"
    start = datetime.fromisoformat(START)
    until = start + timedelta(hours=hours)
    secret = run_json("keys", "add", "qse", "--scope", "dispatch", "--data", data)["secret"]
    with running_site(data, "--from", START, "--until", until.isoformat(), "--speed", "300") as site:
        noon = start + timedelta(hours=hours / 2)
        site.wait("noon", lambda: datetime.fromisoformat(site.get("state")["at"]) >= noon, hours * 14 + 60)
        capped_at = post_call(site, secret, "deploy", mw_cap=0.2)
        site.wait("the cap", lambda: site.get("state")["load_mw"] <= 0.2, 30)
        site.wait("an hour under it", lambda: datetime.fromisoformat(site.get("state")["at"]) >= capped_at + timedelta(minutes=50), 30)
        assert site.get("state")["load_mw"] <= 0.2
        post_call(site, secret, "recall")
        assert site.ended(hours * 14 + 90) == 0, site.tail()
    assert run_json("verify", data)["findings"] == []
    again = run_json("redecide", data)
    assert again["findings"] == [] and again["plans"] > hours
    day = start.date().isoformat()
    statement = run_json("settle", day, "--data", data)
    assert statement["date"] == day and statement["partial"] is (hours < 24)
    assert {name: Decimal(usd) for name, usd in statement["totals"].items()} == independent_totals(data, start, until)
    assert {d["cause"] for d in statement["differences"]} >= {"price", "call", "device", "wake"}
    gap = Decimal(statement["net_exact_usd"]) - Decimal(statement["planned_net_exact_usd"])
    assert abs(sum(Decimal(d["exact_usd"]) for d in statement["differences"]) - gap) < Decimal("1e-9")
    assert len(list((data / "settlements" / day).iterdir())) >= 3


def independent_totals(data: Path, start: datetime, until: datetime) -> dict[str, Decimal]:
    """The charges of the demonstration's site file, from what its meter read, its telemetry and the market's own facts alone."""
    site = tomllib.loads((ROOT / "config" / "demo-site.toml").read_text("utf-8"))
    market = SyntheticSource(Market.ERCOT, site["prices"]["seed"], [site["site"]["settlement_point"]])
    facts = asyncio.run(market.fetch(start - timedelta(hours=30), until + timedelta(hours=1)))
    price = {f.over.start: f.usd_per_mwh for f in facts if isinstance(f, Price) and f.market is PriceMarket.REAL_TIME_15_MIN}
    celsius = [f for f in facts if isinstance(f, Temperature)]
    starts = [start + timedelta(minutes=15 * n) for n in range(int((until - start) / timedelta(minutes=15)))]
    spans = [(int(s.timestamp()) * 1000, int(s.timestamp()) * 1000 + 900_000) for s in starts]
    warm = [next(Fraction(str(f.celsius)) for f in celsius if s in f.over) for s in starts]
    halls = {h["name"]: h["overhead"] for h in site["halls"]}
    by_rigs, revenue = [Fraction(0)] * len(starts), Fraction(0)
    for group in site["groups"]:
        share, per_c = (Fraction(str(halls[group["hall"]][k])) for k in ("share", "share_per_c_above_25"))
        watts = integrals(data / "telemetry", group["name"], "watts", spans)
        hashes = integrals(data / "telemetry", group["name"], "ths", spans)
        for n in range(len(starts)):
            by_rigs[n] += Fraction(watts[n], MW_MS_PER_MWH) * (1 + share + per_c * max(Fraction(0), warm[n] - 25))
            revenue += Fraction(hashes[n], GH_PER_PH_DAY) * Fraction(str(site["hash"]["usd_per_ph_day"]))
    mwh = [metered if metered is not None else rigs for metered, rigs in zip(metered_mwh(data, starts), by_rigs, strict=True)]
    energy = -sum((each * Fraction(str(price[s])) for each, s in zip(mwh, starts, strict=True)), Fraction(0))
    adders = -sum(mwh, Fraction(0)) * Fraction(str(site["obligations"][0]["adders_usd_per_mwh"]))
    fee = revenue * Fraction(str(site["hash"]["pool_fee"]))
    exact = {"hashing/hash_revenue": revenue, "hashing/pool_fee": -fee, "power/energy": energy, "power/adders": adders}
    return {name: cents(usd) for name, usd in exact.items()}


def metered_mwh(data: Path, starts: list[datetime]) -> list[Fraction | None]:
    """The energy of each quarter hour by the meter: what was counted between readings, else the mean of each two that differ by 2 % at most
    or are a minute apart. None where such readings, none of them doubted within two minutes, do not cover all of it."""
    read: dict[datetime, tuple[Fraction | None, bool, dict[str, Any]]] = {}
    doubted = False
    with closing(sqlite3.connect(f"file:{data / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
        for kind, text in ledger.execute("select kind, document from journal where kind in ('Seen', 'Done') order by seq"):
            row = json.loads(text)
            mw = row.get("meters", {}).get("meter main")
            doubted = "meter main" in row.get("meter_doubts", {}) if kind == "Seen" else doubted
            at, count = datetime.fromisoformat(row.get("meters_at") or row["at"]), row.get("meter_counts", {}).get("meter main", {})
            assert not count or datetime.fromisoformat(count["until"]) == at
            read[at] = None if mw is None else Fraction(str(mw)), doubted, count
    pairs = [(at, until, read[at], read[until]) for at, until in pairwise(sorted(read))]
    wrong = [(at - timedelta(minutes=2), until) for at, until, (_, doubt, _), _ in pairs if doubt]
    found: list[Fraction | None] = []
    for start in starts:
        end, covered_s, mwh = start + timedelta(minutes=15), 0.0, Fraction(0)
        for at, until, (mw, _, count), (after, _, then) in pairs:
            if mw is None or after is None or until - at > timedelta(minutes=15) or any(a < until and at < b for a, b in wrong):
                continue
            inside_s = max(0.0, (min(until, end) - max(at, start)).total_seconds())
            steady = until - at <= timedelta(minutes=1) or abs(mw - after) <= Fraction(2, 100) * max(mw, after)
            across = any(at + timedelta(minutes=1) < edge < until - timedelta(minutes=1) for edge in starts)
            if count and then and count["since"] == then["since"] and (steady or not across):
                share = Fraction(str(inside_s)) / Fraction(str((until - at).total_seconds()))
                covered_s, mwh = covered_s + inside_s, mwh + share * (Fraction(str(then["mwh"])) - Fraction(str(count["mwh"])))
            elif steady:
                covered_s, mwh = covered_s + inside_s, mwh + Fraction(str(inside_s)) * (mw + after) / 2 / 3600
        found.append(mwh if abs(covered_s - 900.0) < 1e-6 else None)
    return found


def post_call(site: Site, secret: str, kind: str, **figures: float) -> datetime:
    """Post a call to the plant; returns the site's time then."""
    at = datetime.fromisoformat(site.get("state")["at"])
    document = {"id": "noon", "obligation": "plant", "kind": kind, **figures}
    reply = site.http.post("/api/v1/calls", json=document, headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": kind})
    assert reply.status_code in (200, 201, 202), reply.text
    return at
