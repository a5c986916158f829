"""The inbox: nothing pushed is lost, nothing is taken twice."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from dispatch.store import LedgerUnavailable
from dispatch.store.inbox import IdempotencyConflict, Inbox
from dispatch.store.tables import open_ledger, writing


def test_rows_come_in_their_order_after_a_cursor(engine: Engine) -> None:
    inbox = Inbox(engine)
    assert inbox.newest() == 0
    ids = [inbox.put("call", {"id": str(n), "mw_cap": 4.0 + n}, "ops")[0] for n in range(5)]
    assert ids == sorted(ids) and inbox.newest() == ids[-1]
    rows = inbox.after(ids[2])
    assert [(r.id, r.kind, r.document["mw_cap"], r.key_name, r.idempotency_key) for r in rows] == [
        (ids[3], "call", 7.0, "ops", None),
        (ids[4], "call", 8.0, "ops", None),
    ]
    assert inbox.after(ids[-1]) == [] and len(inbox.after(0, limit=3)) == 3


def test_the_same_idempotency_key_gives_the_first_row(engine: Engine) -> None:
    inbox = Inbox(engine)
    first = inbox.put("call", {"id": "c1", "mw_cap": 4.0}, "ops", "k1")
    assert first == (first[0], True)
    assert inbox.put("call", {"mw_cap": 4.0, "id": "c1"}, "ops", "k1") == (first[0], False)
    assert inbox.put("call", {"id": "c2", "mw_cap": 4.0}, "other", "k1")[1]
    for kind, document in (("call", {"id": "c1", "mw_cap": 5.0}), ("hold", {"id": "c1", "mw_cap": 4.0})):
        with pytest.raises(IdempotencyConflict, match="k1"):
            inbox.put(kind, document, "ops", "k1")
    assert len(inbox.after(0)) == 2


def test_invalid_documents_are_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="call, award, hold"):
        Inbox(engine).put("letter", {}, "ops")
    with pytest.raises(ValueError):
        Inbox(engine).put("call", {"mw_cap": float("nan")}, "ops")
    assert Inbox(engine).newest() == 0


def test_a_locked_ledger_says_so(tmp_path: Path, engine: Engine) -> None:
    impatient = open_ledger(tmp_path, busy_s=0.05)
    with writing(engine), pytest.raises(LedgerUnavailable, match="locked"):
        Inbox(impatient).put("call", {}, "ops")
    assert Inbox(impatient).newest() == 0
    impatient.dispose()


def test_one_idempotency_key_from_many_threads_is_one_row(tmp_path: Path, engine: Engine) -> None:
    answers: list[tuple[int, bool]] = []
    ready = threading.Barrier(6)

    def push() -> None:
        own = open_ledger(tmp_path)
        ready.wait()
        for n in range(10):
            answers.append(Inbox(own).put("call", {"n": n}, "ops", f"k{n}"))
        own.dispose()

    threads = [threading.Thread(target=push) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 60 and sum(new for _, new in answers) == 10
    assert len({id_ for id_, _ in answers}) == len(Inbox(engine).after(0)) == 10


def test_the_versions_of_a_call_are_found_by_an_index(engine: Engine) -> None:
    inbox = Inbox(engine)
    for n in range(3):
        inbox.put("call", {"id": f'odd "{n}" %_', "obligation": "plant", "kind": "deploy", "mw_cap": 0.1}, "key")
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: asked.append(statement))
    (again,) = inbox.put_all("call", [{"id": 'odd "1" %_', "obligation": "plant", "kind": "deploy", "mw_cap": 0.1}], "key", [None])
    assert again == (2, False)
    found = next(statement for statement in asked if "$.id" in statement)
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {found}", ("call", "x")).all()
    assert any("USING INDEX inbox_by_document_id" in str(step) for step in plan), plan
