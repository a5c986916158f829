"""The ledger's tables, and how to open and use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from dispatch.store import LedgerUnavailable
from dispatch.store.dialect import document_id, sqlite_engine
from dispatch.store.durable import keep_private
from dispatch.store.head_file import Head, data_dir_of, forget_heads, head_file, write_head
from dispatch.store.instant_column import Instant
from dispatch.store.migrate import migrate, revision

REVISION = "0010"


ledger = MetaData()

journal = Table(
    "journal",
    ledger,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("token", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("journal_by_kind", "kind", "seq"),
    Index("journal_by_time", "kind", "at"),
)

# Large documents (plans) by the SHA-256 of their canonical JSON, zlib-compressed.
blobs = Table("blobs", ledger, Column("hash", String(64), primary_key=True), Column("bytes", LargeBinary, nullable=False))

inbox = Table(
    "inbox",
    ledger,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("document", Text, nullable=False),
    Column("key_name", String(64), nullable=False),
    Column("idempotency_key", String(255)),
    UniqueConstraint("key_name", "idempotency_key", name="inbox_once"),
    sqlite_autoincrement=True,
)
Index("inbox_by_document_id", document_id(inbox.c.document))

api_keys = Table(
    "api_keys",
    ledger,
    Column("name", String(64), primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

lease = Table(
    "lease",
    ledger,
    Column("name", String(32), primary_key=True),
    Column("token", Integer, nullable=False),
    Column("owner", String(255), nullable=False),
    Column("until_s", Float, nullable=False),
)

# What is settled: energy of the group's rigs at the wall. A row holds a UTC day's steps as arrays of whole numbers (rollups.py says how).
rollup_days = Table(
    "rollup_days",
    ledger,
    Column("group", String(128), primary_key=True),
    Column("day", Instant, primary_key=True),
    Column("step_s", Integer, primary_key=True, autoincrement=False),
    Column("energy", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("samples", LargeBinary, nullable=False),
    Column("estimated", LargeBinary, nullable=False),
    Index("rollup_days_by_day", "day"),
)


def _vintages(name: str, figure: str, *keys: Column[Any]) -> Table:
    """A bitemporal projection of Seen: valid over [start, end), known from `known_at`; `seq` and `nth` say where in the journal."""
    return Table(
        name,
        ledger,
        Column("seq", Integer, primary_key=True, autoincrement=False),
        Column("nth", Integer, primary_key=True, autoincrement=False),
        *keys,
        Column("start", Instant, nullable=False),
        Column("end", Instant, nullable=False),
        Column(figure, Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("known_at", Instant, nullable=False),
        Index(f"{name}_by_start", *(k.name for k in keys if k.name != "basis"), "start"),
    )


prices = _vintages("prices", "usd_per_mwh", Column("point", String(128), nullable=False), Column("market", String(32), nullable=False))
reserve_prices = _vintages(
    "reserve_prices", "usd_per_mw_h", Column("product", String(32), nullable=False), Column("market", String(32), nullable=False)
)
hashprices = _vintages("hashprices", "usd_per_ph_day", Column("basis", Text, nullable=False))

# The calls and awards of Seen, each as JSON; `name` is a call's id, an award's contract.
signals = Table(
    "signals",
    ledger,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("nth", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("document", Text, nullable=False),
    Index("signals_by_seq", "kind", "seq"),
    Index("signals_by_name", "kind", "name", "seq"),
)

statements = Table(
    "statements",
    ledger,
    Column("date", String(10), primary_key=True),
    Column("market", String(32), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("known_at", Instant, nullable=False),
    Column("journal_head", String(128), nullable=False),
)

# Received documents (meter files, statements and invoices, calendars), byte for byte, with the map they are read by.
received = Table(
    "received",
    ledger,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("map", Text, nullable=False),
    Column("packed", LargeBinary, nullable=False),
    Column("first", String(10)),
    Column("last", String(10)),
    Column("known_at", Instant, nullable=False),
)

# Meter readings: net energy over [start, end) before losses, exact decimal text, with the document (`received`) and its `row`. A later
# document is a later vintage.
meter_readings = Table(
    "meter_readings",
    ledger,
    Column("received", Integer, primary_key=True, autoincrement=False),
    Column("meter", String(128), primary_key=True),
    Column("start", Instant, primary_key=True),
    Column("end", Instant, nullable=False),
    Column("mwh", Text, nullable=False),
    Column("quality", String(16), nullable=False),
    Column("row", Integer, nullable=False),
    Index("meter_readings_by_start", "start"),
)

# What was folded from the journal up to row `seq`, which had `hash`, by the code that `schema` names: JSON, compressed (snapshots.py).
snapshots = Table(
    "snapshots",
    ledger,
    Column("kind", String(16), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("schema", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("packed", LargeBinary, nullable=False),
)

# What contracts remember at the end of an operating day, with the newest rows it was made from (settled_memories.py says how).
settled_memories = Table(
    "settled_memories",
    ledger,
    Column("outside", String(64), primary_key=True),
    Column("until", Instant, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("received", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("packed", LargeBinary, nullable=False),
)

# By table and row the SHA-256 of rows outside the journal, hash-chained (record_log.py).
records = Table(
    "records",
    ledger,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("of", String(32), nullable=False),
    Column("row", String(400), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("records_by_row", "of", "row", "seq"),
)

APPEND_ONLY = (
    "journal",
    "blobs",
    "prices",
    "reserve_prices",
    "hashprices",
    "signals",
    "statements",
    "received",
    "meter_readings",
    "records",
)


def ledger_file(data_dir: Path) -> Path:
    return Path(data_dir) / "ledger.sqlite"


def open_ledger(data_dir: Path, *, create: bool = True, busy_s: float = 5.0) -> Engine:
    """The ledger of a data folder, brought to this version's tables. Raises LedgerUnavailable."""
    file = ledger_file(data_dir)
    if create:
        file.parent.mkdir(parents=True, exist_ok=True)
    elif not file.is_file():
        raise LedgerUnavailable(f"{file}: no ledger there")
    keep_private(file, create=create)
    engine = sqlite_engine(file, busy_s)
    try:
        _migrate(engine)
    except (SQLAlchemyError, UnicodeDecodeError) as fault:
        engine.dispose()
        raise LedgerUnavailable(f"{file}: {_words(fault)}") from fault
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One durable transaction. Raises LedgerUnavailable when the database is locked, full or broken; IntegrityError passes."""
    try:
        with engine.connect().execution_options(writes=True) as connection:
            forget_heads(connection)
            with connection.begin():
                yield connection
            heads = forget_heads(connection)
    except IntegrityError:
        raise
    except (SQLAlchemyError, UnicodeDecodeError) as fault:  # the driver decodes damaged text, in messages too
        raise LedgerUnavailable(_words(fault)) from fault
    _write_heads(engine, heads)


def _write_heads(engine: Engine, heads: Mapping[str, Head]) -> None:
    """Name the newest rows in the head files. One that cannot be written stays behind: the rows are durable all the same."""
    if heads and (folder := data_dir_of(engine)) is not None:
        with suppress(OSError):
            for chain, head in heads.items():
                write_head(head_file(folder, chain), head)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent read transaction. Raises LedgerUnavailable."""
    try:
        with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, UnicodeDecodeError) as fault:  # the driver decodes damaged text, in messages too
        raise LedgerUnavailable(_words(fault)) from fault


def _words(fault: Exception) -> str:
    return str(fault.orig) if isinstance(fault, DBAPIError) else str(fault)


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if revision(connection) == REVISION:
            return
    with writing(engine) as connection:  # two processes that start together migrate one after the other
        migrate(connection)
