"""Pushing: what is acknowledged lies in the inbox, once, and the loop can read it."""

from __future__ import annotations

from typing import Any

import pytest

from dispatch.store.inbox import Inbox, InboxRow
from dispatch.store.tables import open_ledger
from tests.dispatch.web.conftest import CALL, Here

AWARD: dict[str, Any] = {
    "obligation": "power",
    "product": "ENERGY",
    "market": "DAM",
    "interval_start": "2026-08-20T17:30:00Z",
    "interval_end": "2026-08-20T18:30:00Z",
    "mw": 0.5,
    "mcpc_usd_per_mw_h": 140.0,
}


def rows(here: Here, after: int = 0) -> list[InboxRow]:
    engine = open_ledger(here.data)
    try:
        return Inbox(engine).after(after)
    finally:
        engine.dispose()


def post(here: Here, path: str, document: Any, **headers: str) -> Any:
    return here.http.post(f"/api/v1/{path}", json=document, headers={**here.keyed(), **headers})


def test_an_acknowledged_call_is_stored(here: Here) -> None:
    call = {"id": "now", "obligation": "power", "kind": "deploy", "mw_cap": 0.05}
    answer = post(here, "calls", call)
    assert answer.status_code == 202 and answer.json()["id"] == "now" and not answer.json()["repeated"]
    row = rows(here)[-1]
    assert (row.id, row.kind, dict(row.document), row.key_name) == (answer.json()["inbox"], "call", call, "of-dispatch")
    assert here.http.get("/api/v1/calls").json()["waiting"][-1]["document"] == call


def test_a_repeated_idempotency_key_is_one_row_or_a_conflict(here: Here) -> None:
    first = post(here, "calls", CALL, **{"Idempotency-Key": "k1"})
    again = post(here, "calls", {**CALL, "end_at": CALL["end_at"]}, **{"Idempotency-Key": "k1"})
    assert again.status_code == 202 and again.json() == {**first.json(), "repeated": True}
    other = post(here, "calls", {**CALL, "mw_cap": 0.2}, **{"Idempotency-Key": "k1"})
    assert other.status_code == 409 and other.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "document", "where"),
    [
        ("calls", {**CALL, "obligation": "ers"}, "obligation"),
        ("calls", {**CALL, "mw_cap": False}, "mw_cap"),
        ("calls", [CALL], ""),
        ("awards", {"obligation": "power"}, "product"),
        ("holds", {"group": "nope", "mode": "sleep"}, "group"),
        ("holds", {"mode": "sleep", "released": True}, "released"),
    ],
)
def test_an_invalid_document_is_not_stored_and_each_fault_is_named(here: Here, path: str, document: Any, where: str) -> None:
    before = len(rows(here))
    answer = post(here, path, document)
    assert answer.status_code == 422 and where in [e["path"] for e in answer.json()["errors"]]
    assert len(rows(here)) == before


def test_an_award_is_stored(here: Here) -> None:
    answer = post(here, "awards", AWARD)
    assert answer.status_code == 202, answer.text
    assert dict(rows(here)[-1].document) == AWARD


def test_an_award_at_another_price_than_the_published_one_is_refused(here: Here) -> None:
    """The day-ahead market cleared this hour at 140 $/MWh; without a price the award settles at that."""
    before = len(rows(here))
    answer = post(here, "awards", {**AWARD, "mcpc_usd_per_mw_h": 0.0})
    assert answer.status_code == 422 and len(rows(here)) == before
    (error,) = answer.json()["errors"]
    assert error["path"] == "mcpc_usd_per_mw_h" and "published price of ENERGY in DAM, 140 from" in str(error)
    assert post(here, "awards", {k: v for k, v in AWARD.items() if k != "mcpc_usd_per_mw_h"}).status_code == 202


def test_a_call_sent_again_is_a_repeat_or_the_next_version(here: Here) -> None:
    call = {"id": "again", "obligation": "plant", "kind": "deploy", "mw_cap": 0.15}
    first = post(here, "calls", call).json()
    assert post(here, "calls", call).json() == {**first, "repeated": True}
    changed = post(here, "calls", {**call, "mw_cap": 0.1})
    assert changed.status_code == 202 and rows(here)[-1].document["version"] == 2
    conflict = post(here, "calls", {**call, "version": 2})
    assert conflict.status_code == 422 and [e["path"] for e in conflict.json()["errors"]] == ["version"]
    unknown = post(here, "calls", {"id": "nobody", "obligation": "plant", "kind": "recall"})
    assert unknown.status_code == 422 and [e["path"] for e in unknown.json()["errors"]] == ["id"]


def test_a_hold_gets_an_id_and_can_be_released_before_the_loop_reads_it(here: Here) -> None:
    answer = post(here, "holds", {"group": "b-new", "mw_cap": 0.05})
    id = answer.json()["id"]
    assert id == f"hold-{answer.json()['inbox']}"
    released = here.http.delete(f"/api/v1/holds/{id}", headers=here.keyed())
    assert released.status_code == 202 and dict(rows(here)[-1].document) == {"id": id, "released": True}
    assert here.http.delete("/api/v1/holds/nobodys", headers=here.keyed()).status_code == 404
