"""The record log: a hash chain over the ledger's rows outside the journal. It finds rows that were added, changed or deleted by anything
but this program.

Rows of `RECORDED` tables carry money, promises or permissions, or decisions are made by them: API keys, the inbox, statements, received
documents and their meter readings, roll-ups, price models. Whoever writes such a row adds a record with its SHA-256 in the same
transaction. A record's own hash is SHA-256 over `prev_hash|seq|at|table|row|sha256`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, String, Table, insert, select, type_coerce
from sqlalchemy.exc import SQLAlchemyError

from dispatch.clock import wall_now
from dispatch.store import JournalBroken, LedgerUnavailable
from dispatch.store.head_file import note_head
from dispatch.store.instant_column import Instant, instant_text
from dispatch.store.price_model_table import price_models
from dispatch.store.tables import (
    api_keys,
    inbox,
    meter_readings,
    received,
    records,
    rollup_days,
    statements,
)
from optimizer.domain.money import Finding

# By table the columns that name a record: rows that share them are recorded together.
RECORDED: Mapping[Table, tuple[Column[Any], ...]] = {
    api_keys: (api_keys.c.name,),
    inbox: (inbox.c.id,),
    statements: (statements.c.date, statements.c.market, statements.c.version),
    received: (received.c.id,),
    meter_readings: (meter_readings.c.received,),
    rollup_days: (rollup_days.c.group, rollup_days.c.day, rollup_days.c.step_s),
    price_models: (price_models.c.point, price_models.c.version),
}
BATCH = 2000
REMOVED = ""  # the SHA-256 of what was taken out on purpose


def record_row(connection: Connection, table: Table, *key: Any) -> None:
    """Record the row (or rows) of a table with these key columns as they are now."""
    named = [column == value for column, value in zip(RECORDED[table], key, strict=True)]
    digests = list(_digests(connection, table, named))
    assert len(digests) == 1, f"{len(digests)} rows of {table.name} with key {key}"
    record(connection, table.name, *digests[0])


def record_removal(connection: Connection, table: Table, *key: Any) -> None:
    """Record that the row (or rows) of a table with these key columns are taken out on purpose."""
    record(connection, table.name, _row_name(key), REMOVED)


def _row_name(key: Iterable[Any]) -> str:
    return " ".join(map(str, key))


def record(connection: Connection, table: str, row: str, digest: str) -> None:
    """Add a record: `row` of `table` has this SHA-256 from now on."""
    seq, prev = connection.execute(_NEWEST).one_or_none() or (0, "")
    at = wall_now()
    hash_ = record_hash(prev, seq + 1, instant_text(at), table, row, digest)
    values = {"seq": seq + 1, "at": at, "of": table, "row": row, "sha256": digest, "prev_hash": prev, "hash": hash_}
    connection.execute(insert(records), values)
    note_head(connection, "records", seq + 1, hash_)


_NEWEST = select(records.c.seq, records.c.hash).order_by(records.c.seq.desc()).limit(1)


def record_hash(prev: str, seq: int, at: str, table: str, row: str, digest: str) -> str:
    """The hash that chains a record to the one before."""
    return sha256("|".join((prev, str(seq), at, table, row, digest)).encode()).hexdigest()


def record_all(connection: Connection, tables: Iterable[Table]) -> None:
    """Record every row there is of some tables: when a ledger is opened that was made before they were recorded."""
    for table in tables:
        for row, digest in list(_digests(connection, table)):
            record(connection, table.name, row, digest)


def recorded_digest(connection: Connection, table: str, row: str) -> str | None:
    """The newest SHA-256 recorded of a row; None when none was."""
    wanted = select(records.c.sha256).where(records.c.of == table, records.c.row == row)
    return connection.execute(wanted.order_by(records.c.seq.desc()).limit(1)).scalar()


def is_recorded(connection: Connection, table: Table, *key: Any) -> bool:
    """Whether the row with this key is as it was recorded."""
    named = [column == value for column, value in zip(RECORDED[table], key, strict=True)]
    return all(recorded_digest(connection, table.name, row) == digest for row, digest in _digests(connection, table, named))


def verify_records(connection: Connection) -> tuple[list[Finding], dict[tuple[str, str], str]]:
    """What is wrong with the log or with the rows it speaks of; and, for tables elsewhere, the newest SHA-256 by table and row. Raises
    JournalBroken naming the first record that does not hold."""
    newest: dict[tuple[str, str], str] = {}
    for table, row, digest in _chain(connection):
        newest[table, row] = digest
    findings: list[Finding] = []
    for kind in RECORDED:
        try:
            for row, digest in _digests(connection, kind):
                wanted = newest.pop((kind.name, row), None)
                if wanted != digest:
                    findings.append(Finding("record", f"{kind.name}: row {row} {_fault(wanted)}"))
        except (SQLAlchemyError, LedgerUnavailable, UnicodeDecodeError, TypeError) as fault:
            findings.append(Finding("record", f"{kind.name}: its rows cannot be read: {fault}"))
            newest = {key: value for key, value in newest.items() if key[0] != kind.name}
    ours = {table.name for table in RECORDED}
    findings += [Finding("record", f"{t}: row {row} was deleted") for (t, row), digest in newest.items() if t in ours and digest]
    return findings, {key: digest for key, digest in newest.items() if key[0] not in ours}


def _fault(wanted: str | None) -> str:
    return "was added outside the program" if wanted is None else "was changed: it is not as it was recorded"


def _chain(connection: Connection) -> Iterator[tuple[str, str, str]]:
    columns = [_stored(column) for column in records.columns]
    rows = connection.execute(select(*columns).order_by(records.c.seq).execution_options(yield_per=BATCH))
    last, head = 0, ""
    while True:
        try:
            found = next(rows, None)
        except (SQLAlchemyError, UnicodeDecodeError) as fault:
            raise JournalBroken(f"a record after {last} cannot be read: {fault}") from fault
        if found is None:
            return
        seq, at, of, row, digest, prev, hash_ = found
        if seq != last + 1:
            raise JournalBroken(f"record {last + 1} is missing: record {seq} follows record {last}")
        if prev != head or record_hash(prev, seq, at, of, row, digest) != hash_:
            raise JournalBroken(f"record {seq} ({of}, row {row}) was changed: its hash does not match what it says")
        last, head = seq, hash_
        yield of, row, digest


def _digests(connection: Connection, table: Table, named: Iterable[ColumnElement[bool]] = ()) -> Iterator[tuple[str, str]]:
    """By key the SHA-256 over the stored columns of a table's rows."""
    keys = RECORDED[table]
    order = [*keys, *(c for c in table.primary_key if c not in keys)]
    wanted = select(*map(_stored, table.columns)).where(*named).order_by(*order)
    rows = connection.execute(wanted.execution_options(yield_per=BATCH))
    name, digest = None, sha256()
    for row in rows.mappings():
        key = _row_name(row[c.name] for c in keys)
        if name is not None and key != name:
            yield name, digest.hexdigest()
            digest = sha256()
        name = key
        for column in table.columns:
            digest.update(_field(row[column.name]))
    if name is not None:
        yield name, digest.hexdigest()


def _stored(column: Column[Any]) -> ColumnElement[Any]:
    """A column as it is stored: an instant as its text."""
    return type_coerce(column, String).label(column.name) if isinstance(column.type, Instant) else column


def _field(value: Any) -> bytes:
    """A value so that no two rows have the same bytes: its kind, its length, itself."""
    raw = value if isinstance(value, bytes) else instant_text(value).encode() if isinstance(value, datetime) else str(value).encode()
    return b"%s:%d:%s;" % (b"n" if value is None else b"v", len(raw), raw)
