"""The reading routes over a real port, of a site that has run."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dispatch.decide.state import State
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from dispatch.store.journal import SqlJournal
from dispatch.store.statements import keep_statement
from dispatch.store.tables import open_ledger
from dispatch.web.state_document import simulated_rigs
from markets.grid import parse_instant
from tests.dispatch.web.conftest import Here
from tests.fakes import NOON


def test_state_gives_price_load_holds_and_reasons(get: Any) -> None:
    state = get("state")
    assert {"at", "world", "leader", "price", "plan_age_s", "load_mw", "target_mw", "holds", "calls", "health", "reasons"} <= state.keys()
    assert state["price"]["usd_per_mwh"] == 150.0 and state["price"]["label"] == "HE14 13:30-13:45"
    assert state["load_mw"] < 0.003 and state["target_mw"] == pytest.approx(state["load_mw"], abs=1e-4)
    assert [h["mode"] for h in state["holds"]] == ["sleep"]
    assert state["health"]["ready"] and state["reasons"]
    assert state["simulation"] == {"market": True, "rigs": True, "speed": 1.0}


def test_the_rigs_of_the_demonstration_count_as_simulated() -> None:
    """Also its CPU miner, which is at a loopback address but in no subnet."""
    setup = load_site_file(default_file(DEMO_SITE))
    assert simulated_rigs(State.start(setup, lambda _: setup))


def test_the_plan_is_the_one_in_the_journal(here: Here, get: Any) -> None:
    engine = open_ledger(here.data)
    state = State.start(here.setup, lambda _: here.setup)
    for seq, entry in SqlJournal(engine).read():
        state = state.after(entry, seq)
    engine.dispose()
    plan = get("plan")
    assert state.plan is not None and plan["objective_usd"] == state.plan["objective_usd"] and plan["seq"] == state.plan_seq
    assert len(plan["intervals"]) == len(state.plan["intervals"]) and plan["intervals"][0]["label"].startswith("HE14 ")


def test_prices_are_published_and_expected_ones(get: Any) -> None:
    prices = get("prices")
    point = prices["points"]["LZ_WEST"]
    assert [p["usd_per_mwh"] for p in point["real_time"]][-4:] == [80.0, 150.0, 150.0, 150.0]
    assert {p["basis"] for p in point["outlook"]} <= {"published", "forecast", "held"}
    assert prices["breakevens_usd_per_mwh"]["a-old"] == pytest.approx(62.92, abs=0.01)
    later = get("prices", since=(NOON + timedelta(minutes=45)).isoformat())["points"]["LZ_WEST"]["real_time"]
    assert parse_instant(later[0]["end"]) > NOON + timedelta(minutes=45)


def test_fleet_counts_every_rig_once(get: Any) -> None:
    fleet = get("fleet")
    assert (fleet["rigs"], fleet["reachable"]) == (80, 80)
    assert fleet["groups"]["a-old"]["modes"] == {"sleep": 40, "normal": 0}
    assert fleet["groups"]["a-old"]["conditions"] == {"sleep": "0-39"}


def test_obligations_calls_and_holds_are_listed(get: Any) -> None:
    assert [o["type"] for o in get("obligations")["obligations"]] == ["hashing", "power", "plant", "transition"]
    (call,) = get("calls")["calls"]
    assert (call["id"], call["status"], call["mw_cap"]) == ("call-1", "ended", 0.1)
    assert get("awards")["awards"] == []
    assert get("holds")["holds"][0]["by"] == "tests"


def test_the_journal_is_served_in_order_and_in_parts(get: Any) -> None:
    first = get("journal", limit=5)
    assert [e["seq"] for e in first["entries"]] == [1, 2, 3, 4, 5] and first["next"] == 5
    rest = get("journal", after=5, limit=1000)
    assert rest["entries"][-1]["seq"] == rest["head"]["seq"] and len(rest["head"]["hash"]) == 64
    planned = [e for e in rest["entries"] if e["entry"] == "Planned"]
    assert planned and all("intervals" not in e["plan"] for e in planned)
    assert "intervals" in next(e for e in get("journal", limit=50, plans=True)["entries"] if e["entry"] == "Planned")["plan"]


def test_the_event_packet_shows_signal_decision_read_back_and_load(get: Any) -> None:
    packet = get("events/call-1")
    assert packet["requested"] == "deploy: at most 0.1 MW" and packet["signal"][0]["seq"] == 2
    assert packet["signal"][0]["pushed_by"] == {f"{packet['id']} version 1": "tests"}
    decided = [d for d in packet["decisions"] if any("call-1" in r for r in d["reasons"])]
    assert decided and parse_instant(decided[0]["at"]) == NOON + timedelta(minutes=30)
    assert packet["read_backs"]
    summary = packet["summary"]
    assert parse_instant(summary["reached_at"]) <= NOON + timedelta(minutes=35) and summary["readings_above_after_reaching"] == 0


def test_the_chart_is_labelled_in_market_time(get: Any) -> None:
    chart = get("chart")
    assert "HE12" in chart["axis"]["text"] and "Fri 21 Aug" in chart["axis"]["text"]
    assert chart["published"]["label"][-1] == "HE14 13:30-13:45"
    # During a call the loop ticks each minute, for four of the 24; it ticks at each of six prices that are published off the grid; and it
    # reads anew after each of four orders.
    assert len(chart["load"]["x"]) == len(chart["load"]["y"]) == 24 + 16 + 6 + 4


def test_activity_is_listed_in_sentences(get: Any) -> None:
    texts = [a["text"] for a in get("activity", limit=400)["activity"]]
    assert any("deploy call-1" in t for t in texts) and any(t.startswith("The site started") for t in texts)


def test_health_and_metrics(here: Here, get: Any) -> None:
    assert get("health/live") == {"live": True} and get("health/ready")["ready"]
    text = here.http.get("/metrics").text
    assert "loadstone_price_usd_per_mwh 150.0" in text and 'loadstone_rigs{condition="sleep",group="a-old"} 40.0' in text


def test_the_stream_begins_with_the_state(here: Here) -> None:
    with here.http.stream("GET", "/api/v1/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        data = next(line for line in lines if line.startswith("data: "))
    assert json.loads(data[6:])["site"] == "Small"


def test_the_event_packet_is_also_a_page_and_a_pdf_bound_to_the_journal(here: Here, get: Any) -> None:
    packet = get("events/call-1")
    rows = {row["seq"]: row for row in get("journal", after=packet["journal"]["first"]["seq"] - 1, limit=1000)["entries"]}
    assert packet["journal"]["first"]["seq"] in rows and len(packet["journal"]["last"]["hash"]) == 64
    assert packet["journal"]["last"]["seq"] >= max(d["seq"] for d in packet["decisions"])
    page = here.http.get("/api/v1/events/call-1", params={"format": "html"})
    assert page.headers["content-type"].startswith("text/html") and packet["requested"] in page.text
    assert packet["journal"]["first"]["hash"] in page.text and "<script" not in page.text
    pdf = [here.http.get("/api/v1/events/call-1", params={"format": "pdf"}).content for _ in range(2)]
    assert pdf[0].startswith(b"%PDF") and pdf[0] == pdf[1], "the same packet is the same bytes"
    assert here.http.get("/api/v1/events/call-1", params={"format": "xlsx"}).status_code == 422


@pytest.mark.parametrize("path", ["events/none", "settlements/2026-08-20", "nothing"])
def test_an_unknown_path_or_id_is_a_404_problem(here: Here, path: str) -> None:
    answer = here.http.get(f"/api/v1/{path}")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 404


@pytest.mark.parametrize(
    ("path", "where"),
    [("journal?limit=0", "query.limit"), ("settlements/2026-02-30", "path.day"), ("prices?since=noon", "query.since")],
)
def test_a_wrong_parameter_is_named(here: Here, path: str, where: str) -> None:
    answer = here.http.get(f"/api/v1/{path}")
    assert answer.status_code == 422 and [e["path"] for e in answer.json()["errors"]] == [where]


def test_a_statement_is_served_by_version_in_each_format(here: Here) -> None:
    engine = open_ledger(here.data)
    for version, net in ((1, "10.00"), (2, "11.00")):
        text = json.dumps({"date": "2026-08-19", "version": version, "net_usd": net, "partial": False})
        keep_statement(engine, date(2026, 8, 19), "ercot", version, text, NOON, "1:x")
    engine.dispose()
    folder = here.data / "settlements" / "2026-08-19"
    folder.mkdir(parents=True)
    (folder / "settlement-v1.html").write_text("<p>ten</p>")
    assert [(s["version"], s["net_usd"]) for s in here.http.get("/api/v1/settlements").json()["settlements"]] == [
        (2, "11.00"),
        (1, "10.00"),
    ]
    day = "/api/v1/settlements/2026-08-19"
    assert here.http.get(day).json()["net_usd"] == "11.00"
    assert here.http.get(day, params={"version": 1}).json()["net_usd"] == "10.00"
    page = here.http.get(day, params={"version": 1, "format": "html"})
    assert page.text == "<p>ten</p>" and "default-src 'none'" in page.headers["content-security-policy"]
    assert here.http.get(day, params={"version": 2, "format": "html"}).status_code == 404
    assert here.http.get(day, params={"version": 3}).status_code == 404
    (folder / "settlement-v1.pdf").write_bytes(b"%PDF-1.4")
    paper = here.http.get(day, params={"version": 1, "format": "pdf"})
    assert (paper.content, paper.headers["content-type"]) == (b"%PDF-1.4", "application/pdf")
    assert here.http.get(day, params={"format": "docx"}).status_code == 422


def test_the_reference_page_names_every_path(here: Here) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "http.md").read_text("utf-8")
    missing = [path for path in here.http.get("/openapi.json").json()["paths"] if path not in page]
    assert not missing
