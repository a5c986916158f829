"""The journal: what goes in comes out, in order, chained, and only from the leader."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Engine, delete, insert, text, update
from sqlalchemy.exc import IntegrityError

from dispatch.entries import Entry, GroupSeen, Hold, Planned, Seen
from dispatch.store import JournalLost, LedgerUnavailable, lease
from dispatch.store.journal import MemoryJournal, SqlJournal
from dispatch.store.prices import hashprices_known, price_vintages, reserve_prices_known
from dispatch.store.record_log import record
from dispatch.store.tables import APPEND_ONLY, ledger, open_ledger, reading, writing
from dispatch.store.tables import journal as rows
from dispatch.store.verify import verify
from markets.facts import PriceMarket
from tests.dispatch.store.entries import AT, QUARTER, entries, held, priced

RT = PriceMarket.REAL_TIME_15_MIN
RECEIVED = {"id": 1, "sha256": "0" * 64, "kind": "meter", "name": "may.csv", "map": "", "packed": b"", "known_at": AT}
READ = {"received": 1, "meter": "main", "start": AT, "end": AT, "mwh": "1", "quality": "actual", "row": 2}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(entry=entries)
def test_every_entry_comes_back(journal: SqlJournal, entry: Entry) -> None:
    seq = journal.append(entry)
    assert list(journal.read(seq - 1)) == [(seq, entry)]


def test_a_journal_of_every_kind_verifies(journal: SqlJournal, engine: Engine) -> None:
    for n in range(20):
        journal.append(held(n))
        journal.append(priced(1.5 * n, -n, known_at=AT + timedelta(minutes=n)))
        journal.append(Planned(at=AT, as_of=n, plan={"objective_usd": n % 3}))
        journal.append(Planned(at=AT, as_of=n, plan=None, failed="no solution"))
    assert verify(engine).findings == ()
    assert journal.tail == journal.head[0] == 80


def test_read_continues_after_a_cursor_over_many_pages(journal: SqlJournal, engine: Engine) -> None:
    for n in range(30):
        journal.append(held(n))
    paged = SqlJournal(engine, page=7)
    assert [seq for seq, _ in paged.read()] == list(range(1, 31))
    assert [seq for seq, _ in paged.read(after=22)] == list(range(23, 31))
    assert list(paged.read(after=30)) == []


def test_the_chain_is_what_the_docs_say(journal: SqlJournal, engine: Engine) -> None:
    journal.append(held(0))
    journal.append(Planned(at=AT, as_of=1, plan={"a": 1.5}))
    prev = ""
    with reading(engine) as connection:
        for seq, token, document, hash_ in connection.execute(text("SELECT seq, token, document, hash FROM journal ORDER BY seq")):
            prev = sha256(f"{prev}|{seq}|{token}|{document}".encode()).hexdigest()
            assert hash_ == prev
        assert connection.execute(text("SELECT hash FROM blobs")).scalars().all() == [sha256(b'{"a":1.5}').hexdigest()]
    assert journal.head == (2, prev)


def test_equal_plans_are_kept_once(journal: SqlJournal, engine: Engine) -> None:
    for n in range(3):
        journal.append(Planned(at=AT + timedelta(hours=n), as_of=n, plan={"intervals": list(range(100))}))
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM blobs")).scalar() == 1
    assert [e.plan["intervals"][99] for _, e in journal.read() if isinstance(e, Planned) and e.plan] == [99, 99, 99]


def test_memory_journal_says_the_same_and_chains_the_same_way(journal: SqlJournal) -> None:
    memory, other = MemoryJournal(), MemoryJournal()
    for n in range(5):
        assert journal.append(held(n)) == memory.append(held(n)) == other.append(held(n))
    assert list(memory.read(2)) == list(journal.read(2))
    assert memory.tail == journal.tail == 5
    assert memory.head == other.head
    other.append(held(9))
    assert memory.head != other.head and len(other.head[1]) == 64


def test_without_a_token_it_only_reads(engine: Engine, journal: SqlJournal) -> None:
    journal.append(held(0))
    reader = SqlJournal(engine)
    with pytest.raises(JournalLost, match="may only read"):
        reader.append(held(1))
    assert reader.head == journal.head


def test_a_stale_token_is_fenced_off(engine: Engine, journal: SqlJournal) -> None:
    journal.append(held(0))
    first = lease.holder(engine)
    assert first is not None
    lease.release(engine, first.token)
    second = lease.take(engine, "another", 600)
    assert second == first.token + 1
    with pytest.raises(JournalLost, match="stale"):
        journal.append(held(1))
    assert SqlJournal(engine, second).append(held(2)) == 2
    assert verify(engine).findings == ()


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_append_only_tables_refuse_changes(engine: Engine, journal: SqlJournal, table: str) -> None:
    journal.append(priced(10.0))
    journal.append(Planned(at=AT, as_of=1, plan={"a": 1}))
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO statements VALUES ('2026-01-01', 'ercot', 1, '{}', '', '2026-01-02T00:00:00.000000Z', '0:')"))
        connection.execute(insert(ledger.tables["received"]), RECEIVED)
        connection.execute(insert(ledger.tables["meter_readings"]), READ)
        connection.execute(insert(ledger.tables["signals"]), {"seq": 1, "nth": 9, "kind": "Call", "name": "c", "document": "{}"})
        record(connection, "inbox", "1", "")
    column = ledger.tables[table].c[0]
    for statement in (update(ledger.tables[table]).values({column: column}), delete(ledger.tables[table])):
        with pytest.raises(IntegrityError, match="append-only"), writing(engine) as connection:
            connection.execute(statement)


def test_a_locked_ledger_loses_the_row_and_says_so(tmp_path: Path, engine: Engine) -> None:
    token = lease.take(engine, "test", 600)
    impatient = open_ledger(tmp_path, busy_s=0.05)
    journal = SqlJournal(impatient, token)
    with writing(engine) as other:
        other.execute(update(rows).where(rows.c.seq == -1).values(kind="x"))
        with pytest.raises(JournalLost, match="locked"):
            journal.append(held(0))
        with pytest.raises(LedgerUnavailable, match="locked"):
            lease.take(impatient, "x", 1)
        assert list(journal.read()) == []  # a reader does not wait for a writer
    assert journal.append(held(0)) == 1
    impatient.dispose()


def test_nothing_of_an_entry_that_cannot_be_written_stays(engine: Engine, journal: SqlJournal) -> None:
    nan = float("nan")
    hold = Hold(id="h", group=None, mode=None, mw_cap=nan, until=None, by="me")
    broken = (
        priced(nan),
        priced(float("inf")),
        Seen(at=AT, holds=(hold,)),
        Seen(at=AT, fleet={"a": GroupSeen(rigs=1, reachable=1, load_mw=nan, hashrate_ph=0.0)}),
        Planned(at=AT, as_of=0, plan={"load_mw": nan}),
        Planned(at=AT, as_of=0, plan={"load_mw": object()}),
    )
    for entry in broken:
        with pytest.raises(ValueError):
            journal.append(entry)
    assert journal.head == (0, "")


def test_prices_are_known_as_they_were_known(engine: Engine, journal: SqlJournal) -> None:
    later = AT + timedelta(days=1)
    journal.append(priced(35.96, 12.0))
    journal.append(replace(priced(36.5), at=later, facts=priced(36.5, known_at=later).facts))
    (first,) = price_vintages(engine, "P0", RT, QUARTER, known_at=AT + timedelta(hours=1))
    was, newest = price_vintages(engine, "P0", RT, QUARTER)
    assert was == first
    assert (first.usd_per_mwh, newest.usd_per_mwh, newest.known_at) == (35.96, 36.5, later)
    assert price_vintages(engine, "P0", RT, QUARTER, known_at=AT - timedelta(seconds=1)) == ()
    assert price_vintages(engine, "P0", PriceMarket.DAY_AHEAD_HOURLY, QUARTER) == ()
    assert [p.usd_per_mw_h for p in reserve_prices_known(engine, "ECRS", "DAM", QUARTER)] == [3.25]
    assert [(h.usd_per_ph_day, h.basis) for h in hashprices_known(engine, QUARTER)] == [(45.1, "fixed")]
