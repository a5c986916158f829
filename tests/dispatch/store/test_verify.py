"""Tampering and rot: verify names the first row that does not hold."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pysqlite3.dbapi2 as sqlite
import pytest
from sqlalchemy import Engine

from dispatch.entries import Planned
from dispatch.imports.meter_readings import MeterReading
from dispatch.store import JournalBroken, LedgerUnavailable, lease
from dispatch.store.head_check import write_heads_anew
from dispatch.store.head_file import head_file, read_head
from dispatch.store.inbox import Inbox
from dispatch.store.journal import SqlJournal, row_hash
from dispatch.store.keys import ApiKeys
from dispatch.store.published_heads import append_heads, heads_document
from dispatch.store.received import DocumentKind, ReceivedDocument, keep_document
from dispatch.store.rollups import Rollup, write_rollups
from dispatch.store.statements import keep_statement, kept_statement
from dispatch.store.tables import ledger_file, open_ledger
from dispatch.store.verify import Verification, chain_rows, verify
from markets.grid import Interval
from tests.dispatch.store.entries import AT, QUARTER, held, priced


@pytest.fixture
def filled(tmp_path: Path, engine: Engine, journal: SqlJournal) -> Path:
    for n in range(10):
        journal.append(held(n))
        journal.append(priced(10.0 + n, known_at=AT + timedelta(minutes=n)))
    journal.append(Planned(at=AT, as_of=3, plan={"objective_usd": 12.5}))
    seq, head = journal.head
    keep_statement(engine, AT.date(), "ercot", 1, "{}", AT, f"{seq}:{head}")
    engine.dispose()
    return tmp_path


def tamper(data: Path, *statements: str) -> None:
    """What somebody with the file can do: no triggers, no rules."""
    with sqlite.connect(ledger_file(data)) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)


def found(data: Path) -> list[tuple[str, str]]:
    engine = open_ledger(data, create=False)
    try:
        return [(f.kind, f.text) for f in verify(engine).findings]
    finally:
        engine.dispose()


def test_an_untouched_ledger_holds(filled: Path) -> None:
    assert found(filled) == []
    engine = open_ledger(filled)
    report = verify(engine)
    assert (report.rows, report.head) == SqlJournal(engine).head == (21, report.head)
    engine.dispose()


def test_an_empty_ledger_holds(engine: Engine) -> None:
    assert verify(engine) == Verification(0, "", ())


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("UPDATE journal SET document = replace(document, 'step 3', 'step 4') WHERE seq = 7", "chain", "row 7 was changed"),
        ("UPDATE journal SET document = document || ' ' WHERE seq = 9", "chain", "row 9 was changed"),
        ("UPDATE journal SET token = 9 WHERE seq = 5", "chain", "row 5 was changed"),
        ("UPDATE journal SET kind = 'Done' WHERE seq = 5", "chain", "row 5 was changed: its kind"),
        ("UPDATE journal SET at = '2026-01-01T00:00:00.000001Z' WHERE seq = 1", "chain", "row 1 was changed: its kind or time"),
        ("UPDATE journal SET hash = substr(hash, 3) || 'zz' WHERE seq = 4", "chain", "row 4 was changed"),
        ("UPDATE journal SET prev_hash = '' WHERE seq = 4", "chain", "row 4 does not follow row 3"),
        ("UPDATE journal SET document = CAST(x'ff' AS TEXT) WHERE seq = 6", "chain", "row 6 was changed"),
        ("DELETE FROM journal WHERE seq = 12", "chain", "row 12 is missing"),
        ("DELETE FROM journal WHERE seq = 1", "chain", "row 1 is missing"),
        ("UPDATE journal SET seq = -1 WHERE seq = 3", "chain", "row 1 is missing: row -1"),
        ("DELETE FROM journal WHERE seq = 21", "statement", "head 21:"),
        ("UPDATE statements SET journal_head = 'x'", "statement", "names journal head x,"),
        ("UPDATE blobs SET bytes = x'00'", "plan", "row 21 was changed"),
        ("DELETE FROM blobs", "plan", "row 21 is missing"),
        ("UPDATE prices SET usd_per_mwh = '11.0' WHERE seq = 2", "projection", "(2, 0) does not say what journal row 2 says"),
        ("UPDATE hashprices SET known_at = '2027-01-01T00:00:00.000000Z' WHERE seq = 4", "projection", "hashprices: row (4, 2)"),
        (
            'INSERT INTO reserve_prices SELECT seq + 100, nth, product, market, start, "end", usd_per_mw_h, source, known_at '
            "FROM reserve_prices WHERE seq = 2",
            "projection",
            "(102, 1) is in no journal row",
        ),
    ],
)
def test_a_changed_row_is_named(filled: Path, change: str, kind: str, words: str) -> None:
    tamper(filled, change)
    findings = found(filled)
    assert findings and findings[0][0] == kind and words in findings[0][1], findings


def test_a_journal_rewritten_from_a_row_on_differs_from_the_statement_and_the_head_file(filled: Path) -> None:
    with sqlite.connect(ledger_file(filled)) as raw:
        rows = raw.execute("SELECT seq, token, document, prev_hash FROM journal ORDER BY seq").fetchall()
    prev, changes = "", []
    for seq, token, document, _ in rows:
        document = document.replace("step 3", "step 5")
        hash_ = row_hash(prev, seq, token, document.encode())
        changes.append(f"UPDATE journal SET document = '{document}', prev_hash = '{prev}', hash = '{hash_}' WHERE seq = {seq}")
        prev = hash_
    tamper(filled, *changes)
    assert [kind for kind, _ in found(filled)] == ["statement", "head"]


def contents(data: Path) -> list[Any]:
    with sqlite.connect(f"file:{ledger_file(data)}?immutable=1", uri=True) as raw:
        raw.text_factory = bytes
        return raw.execute("SELECT * FROM journal ORDER BY seq").fetchall()


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(s, marks=pytest.mark.slow) for s in range(4, 40))])
def test_a_flipped_bit_never_passes(filled: Path, tmp_path: Path, seed: int) -> None:
    """Flip one bit anywhere in the file: either the journal reads as before, or verify (or opening it) says otherwise."""
    rng = random.Random(seed)
    clean = ledger_file(filled).read_bytes()
    before = contents(filled)
    first_bad = 0
    for n in range(40):
        data = tmp_path / f"flipped-{n}"
        data.mkdir()
        place = rng.randrange(100, len(clean))
        flipped = bytearray(clean)
        flipped[place] ^= 1 << rng.randrange(8)
        ledger_file(data).write_bytes(flipped)
        try:
            after = contents(data)
            findings = found(data)
        except (sqlite.Error, UnicodeDecodeError, LedgerUnavailable):
            after, findings = before, []
        if after != before:
            assert findings and findings[0][0] == "chain", (place, findings)
            first_bad += 1
        shutil.rmtree(data)
    assert first_bad or seed


def test_a_bit_flipped_in_a_row_names_that_row(filled: Path) -> None:
    raw = bytearray(ledger_file(filled).read_bytes())
    place = raw.index(b"step 6")
    raw[place + 5] ^= 1
    ledger_file(filled).write_bytes(raw)
    assert found(filled)[0] == ("chain", "row 13 was changed: its hash does not match what it says")
    engine = open_ledger(filled)
    with pytest.raises(JournalBroken, match="row 13"):
        chain_rows(engine)
    engine.dispose()


def test_readers_beside_a_writer_see_a_whole_journal(tmp_path: Path, engine: Engine, journal: SqlJournal) -> None:
    lengths: list[int] = []
    ended = threading.Event()
    own = open_ledger(tmp_path)

    def look() -> None:
        while not ended.is_set():
            lengths.append(chain_rows(own))
            seqs = [seq for seq, _ in SqlJournal(own, page=50).read()]
            assert seqs == list(range(1, len(seqs) + 1))

    reader = threading.Thread(target=look)
    reader.start()
    until = time.monotonic() + 20
    written = 0
    while written < 300 or len(set(lengths)) < 3:
        written = journal.append(held(written))
        assert time.monotonic() < until
    ended.set()
    reader.join()
    own.dispose()
    assert lengths == sorted(lengths)
    assert verify(engine).findings == ()


def test_a_folder_without_a_ledger_is_not_made_one(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="no ledger"):
        open_ledger(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_is_not_a_ledger_is_refused(tmp_path: Path) -> None:
    ledger_file(tmp_path).write_bytes(b"not a database at all, really" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        open_ledger(tmp_path)


def test_rows_out_of_an_unreadable_plan_are_named(filled: Path) -> None:
    tamper(filled, "DELETE FROM blobs")
    engine = open_ledger(filled)
    with pytest.raises(JournalBroken, match="row 21"):
        list(SqlJournal(engine).read())
    engine.dispose()


def test_a_leader_goes_on_after_a_token_gap(engine: Engine) -> None:
    for owner in "abc":
        token = lease.take(engine, owner, 0.0)
        SqlJournal(engine, token).append(held(0))
    assert verify(engine).findings == ()


def cut_off(data: Path) -> None:
    tamper(data, "DELETE FROM statements", "DELETE FROM records", "DELETE FROM blobs", "DELETE FROM journal WHERE seq > 15")


def lose_wal(data: Path) -> None:
    """The ledger's file as it was before the last rows reached it, without its WAL file."""
    with sqlite.connect(ledger_file(data)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    engine = open_ledger(data)
    token = lease.take(engine, "test", 600)
    before = ledger_file(data).read_bytes()
    SqlJournal(engine, token).append(held(99))
    engine.dispose()
    for file in data.glob("ledger.sqlite*"):
        file.unlink()
    ledger_file(data).write_bytes(before)


def empty(data: Path) -> None:
    for file in data.glob("ledger.sqlite*"):
        file.unlink()
    ledger_file(data).touch()


@pytest.mark.parametrize(("loss", "last"), [(cut_off, 15), (lose_wal, 21), (empty, 0)])
def test_a_journal_without_its_last_rows_is_named_by_the_head_file(filled: Path, loss: Callable[[Path], None], last: int) -> None:
    loss(filled)
    assert ("head", f"the journal ends at row {last}, but journal.head names row {22 if loss is lose_wal else 21}") in [
        (kind, text.partition(":")[0]) for kind, text in found(filled)
    ]


def test_a_deleted_head_file_is_a_finding(filled: Path) -> None:
    head_file(filled, "journal").unlink()
    assert [kind for kind, _ in found(filled)] == ["head"]


def test_a_damaged_line_of_a_head_file_leaves_the_other(filled: Path) -> None:
    file = head_file(filled, "journal")
    raw = bytearray(file.read_bytes())
    raw[128 * (21 % 2) + 3] ^= 1
    file.write_bytes(raw)
    head = read_head(file)
    assert head is not None and head.seq == 20 and found(filled) == []


OTHER_TABLES = [
    "INSERT INTO api_keys VALUES ('intruder', '{sha}', 'admin', '2026-08-20T16:00:00.000000Z', NULL)",
    "UPDATE api_keys SET scopes = 'admin' WHERE name = 'reader'",
    "UPDATE api_keys SET revoked_at = NULL",
    "DELETE FROM api_keys WHERE name = 'reader'",
    "UPDATE inbox SET document = replace(document, '0.4', '9.4')",
    "UPDATE inbox SET key_name = 'somebody'",
    "DELETE FROM inbox",
    "UPDATE statements SET document = '[]' WHERE version = 2",
    "UPDATE statements SET sha256 = 'x' WHERE version = 1",
    "UPDATE received SET packed = x'00'",
    "UPDATE meter_readings SET mwh = '0.1' WHERE row = 1",
    "DELETE FROM meter_readings WHERE row = 2",
    "UPDATE rollup_days SET energy = zeroblob(length(energy))",
    "DELETE FROM rollup_days",
    "UPDATE records SET sha256 = 'x' WHERE seq = 1",
    "DELETE FROM records WHERE seq = 2",
    "UPDATE lease SET token = 0",
    "DELETE FROM lease",
]


@pytest.mark.parametrize("change", OTHER_TABLES)
def test_a_row_changed_outside_the_journal_is_named(filled: Path, change: str) -> None:
    """Keys, inbox, statements, received documents, meter readings, roll-ups, the record log itself and the lease."""
    engine = open_ledger(filled)
    keys = ApiKeys(engine)
    secret = keys.add("reader", ["read"])
    keys.add("old", ["read"])
    keys.revoke("old")
    Inbox(engine).put("hold", {"mw_cap": 0.4}, "reader")
    keep_statement(engine, AT.date(), "ercot", 2, '{"net_usd": 1}', AT, ":".join(map(str, SqlJournal(engine).head)))
    reading = MeterReading("main", QUARTER, Decimal("0.25"), "actual", 1)
    later = MeterReading("main", Interval(QUARTER.end, QUARTER.end + timedelta(minutes=15)), Decimal("0.5"), "actual", 2)
    keep_document(engine, ReceivedDocument(DocumentKind.METER, "m.csv", b"a,b", AT), [reading, later])
    write_rollups(engine, [Rollup("a", QUARTER, Decimal("0.1"), Decimal("0.1"), 3, 0.0)])
    engine.dispose()
    assert found(filled) == []
    tamper(filled, change.replace("{sha}", sha256(b"guessed").hexdigest()))
    findings = found(filled)
    assert len(findings) == 1 and findings[0][0] == ("lease" if "lease" in change else "record"), findings
    engine = open_ledger(filled)
    assert ApiKeys(engine).check("intruder.guessed") is None
    assert (ApiKeys(engine).check(secret) is None) == ("name = 'reader'" in change or "records WHERE seq = 2" in change)
    engine.dispose()


def test_an_edited_statement_is_not_printed(filled: Path) -> None:
    tamper(filled, "UPDATE statements SET document = '{\"net_usd\": 1000000}'")
    engine = open_ledger(filled)
    with pytest.raises(JournalBroken, match="the statement of .* version 1 was changed"):
        kept_statement(engine, AT.date(), "ercot")
    engine.dispose()


def test_a_ledger_rewritten_with_its_head_files_differs_from_the_published_heads(filled: Path, tmp_path: Path) -> None:
    engine, published = open_ledger(filled), tmp_path / "elsewhere.jsonl"
    append_heads(published, heads_document(engine, AT))
    assert verify(engine, [published]).findings == ()
    engine.dispose()
    cut_off(filled)
    tamper(filled, *(f"DELETE FROM {table} WHERE seq > 15" for table in ("prices", "reserve_prices", "hashprices", "signals")))
    engine = open_ledger(filled)
    write_heads_anew(engine)
    assert verify(engine).findings == ()
    texts = [finding.text for finding in verify(engine, [published]).findings]
    assert ["elsewhere.jsonl, line 1, names row 21" in texts[0], "the records ends at row 0" in texts[1]] == [True, True]
    published.write_text("no head")
    assert "is not a published head" in verify(engine, [published]).findings[0].text
    engine.dispose()
