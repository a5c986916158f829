"""Calls that ended long ago: they leave the state, and their list and packets come from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import event

from dispatch.decide.state import State
from dispatch.entries import GroupSeen, RunStarted, Seen
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.statements import keep_statement
from dispatch.store.tables import open_ledger
from dispatch.web.context import ApiContext
from dispatch.web.documents import calls_document
from dispatch.web.journal_tail import Ledger
from dispatch.web.live_view import LiveView
from dispatch.web.read_routes import _state_for
from markets.facts import Award, Call, CallKind
from markets.grid import Interval
from tests.dispatch.web.conftest import CALL
from tests.dispatch.web.served import run_site, served
from tests.fakes import NOON
from tests.sites import small

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A site that ran for two hours under a call and was observed for twelve more days."""
    data, setup = tmp_path_factory.mktemp("old"), small()
    run_site(data, setup, 2.0, pushed=[("call", CALL)])
    engine = open_ledger(data)
    token = lease.take(engine, "tests", 1e6)
    journal = SqlJournal(engine, token)
    fleet = {g.name: GroupSeen(rigs=g.rigs, reachable=g.rigs, load_mw=0.1, hashrate_ph=1.0) for g in setup.site.groups}
    award = Award(source="qse", known_at=NOON, obligation="plant", product="ECRS", market="DAM", over=Interval(NOON, NOON + HOUR), mw=1.0,
                  mcpc_usd_per_mw_h=None)  # fmt: skip
    for n in range(1, 13):
        journal.append(Seen(at=NOON + n * DAY, fleet=fleet, facts=(award,) if n == 1 else ()))
    engine.dispose()
    with served(data, setup, NOON + 12 * DAY) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def test_a_call_that_ended_long_ago_is_listed_and_has_its_packet(http: httpx.Client) -> None:
    assert http.get("/api/v1/state").json()["calls"] == []
    (listed,) = http.get("/api/v1/calls").json()["calls"]
    assert (listed["id"], listed["status"]) == ("call-1", "ended")
    assert http.get("/api/v1/awards").json()["awards"][0]["product"] == "ECRS"
    packet = http.get("/api/v1/events/call-1").json()
    assert len(packet["signal"]) == 1 and packet["decisions"] and packet["read_backs"]
    assert packet["summary"]["readings"] >= 3 and packet["load"][0]["load_mw"] > 0
    assert "call-1" in http.get("/").text


def packet_after(data: Path, setup: Setup, at: datetime) -> dict[str, Any]:
    with served(data, setup, at) as address, httpx.Client(base_url=address, timeout=60) as client:
        packet: dict[str, Any] = client.get("/api/v1/events/call-1").json()
    return packet


def test_the_verdict_on_a_call_stays_the_same_when_the_site_file_changes(tmp_path: Path) -> None:
    setup = small()
    packet = packet_after(tmp_path, setup, run_site(tmp_path, setup, 2.0, pushed=[("call", CALL)]))
    assert packet["verdict"]["contract"] == "plant" and packet["verdict"]["passed"] is not None
    engine = open_ledger(tmp_path)
    token = lease.take(engine, "tests", 1e6)
    other = small(obligations=[{"type": "power"}])
    award = Award(source="qse", known_at=NOON, obligation="plant", product="ECRS", market="DAM", over=Interval(NOON, NOON + HOUR), mw=1.0,
                  mcpc_usd_per_mw_h=None)  # fmt: skip
    started = RunStarted(at=NOON + DAY, world="live", version="test", config_hash=other.hash_id, token=token or 0, config=other.document)
    journal = SqlJournal(engine, token)
    journal.append(started)
    journal.append(Seen(at=NOON + DAY + HOUR, facts=(award,)))
    engine.dispose()
    ledger, blank = Ledger.open(tmp_path), State.start(other, setup_from_document)
    context = SimpleNamespace(ledger=ledger, view=SimpleNamespace(state=blank), now=lambda: NOON + 2 * DAY)
    then, doubt = _state_for(cast(ApiContext, context), [replace(_call(1), end_at=NOON + HOUR)])
    ledger.engine.dispose()
    assert then.awards == (award,) and then.setup == setup and not doubt
    later = packet_after(tmp_path, other, NOON + 2 * DAY)
    assert later["verdict"] == packet["verdict"] and later["groups"] == packet["groups"]


def _call(n: int, at: datetime = NOON) -> Call:
    return Call(source="qse", known_at=at, id=f"c{n}", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=at, start_at=at,
                end_at=at + HOUR, mw_cap=0.5)  # fmt: skip


class ComparedId(str):
    """A call's id that counts how often it is compared with another."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        ComparedId.compared += 1
        return str.__eq__(self, other)


def test_the_documents_of_calls_grow_with_their_number_not_its_square() -> None:
    calls = tuple(replace(_call(n), id=ComparedId(f"c{n}")) for n in range(400))
    view = LiveView(State.start(small(), setup_from_document))
    view.fold([(1, Seen(at=NOON, facts=calls))])
    assert len(calls_document(view, NOON)) == len(calls)
    assert ComparedId.compared < 10 * len(calls)


def test_a_view_forgets_calls_with_the_state() -> None:
    view = LiveView(State.start(small(), setup_from_document))
    view.fold((n + 1, Seen(at=NOON + n * DAY, facts=(_call(n, NOON + n * DAY),))) for n in range(30))
    assert len(view.calls) == len(view.state.calls) <= 4


def test_a_statement_is_parsed_once(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    for n in range(40):
        keep_statement(ledger.engine, NOON.date() + n * DAY, "ercot", 1, f'{{"net_usd": "{n}.00", "lines": []}}', NOON, "0:")
    asked: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda conn, cursor, statement, *_: asked.append(statement))
    assert [s["net_usd"] for s in ledger.settlements(31)][:2] == ["39.00", "38.00"]
    assert sum("statements.document" in statement for statement in asked) == 31
    asked.clear()
    assert len(ledger.settlements(31)) == 31 and not any("statements.document" in statement for statement in asked)
    ledger.engine.dispose()
