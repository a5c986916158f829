"""The ledger's tables, and how to open and use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
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
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from dispatch.store import LedgerUnavailable
from dispatch.store.dialect import sqlite_engine
from markets.grid import utc

REVISION = "0006"


class Instant(TypeDecorator[datetime]):
    """An instant in UTC, written 2026-08-20T16:00:00.000000Z: of one width, so text order is time order."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:
        return None if value is None else instant_text(value)

    def process_result_value(self, value: str | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (TypeError, ValueError) as fault:
            raise LedgerUnavailable(f"the ledger holds {value!r} where an instant belongs") from fault


def instant_text(at: datetime) -> str:
    """The ledger's text of an instant. Raises ValueError without an offset."""
    return f"{utc(at).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


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

APPEND_ONLY = ("journal", "blobs", "prices", "reserve_prices", "hashprices", "signals", "statements", "received", "meter_readings")


def ledger_file(data_dir: Path) -> Path:
    return Path(data_dir) / "ledger.sqlite"


def open_ledger(data_dir: Path, *, create: bool = True, busy_s: float = 5.0) -> Engine:
    """The ledger of a data folder, brought to this version's tables. Raises LedgerUnavailable."""
    file = ledger_file(data_dir)
    if create:
        file.parent.mkdir(parents=True, exist_ok=True)
    elif not file.is_file():
        raise LedgerUnavailable(f"{file}: no ledger there")
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
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection
    except IntegrityError:
        raise
    except (SQLAlchemyError, UnicodeDecodeError) as fault:  # the driver decodes damaged text, in messages too
        raise LedgerUnavailable(_words(fault)) from fault


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


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = Table("alembic_version", MetaData(), Column("version_num", String))
    return connection.execute(select(version.c.version_num)).scalar()


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        if (found := _revision(connection)) == REVISION:
            return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with writing(engine) as connection:  # two processes that start together migrate one after the other
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as fault:
            raise LedgerUnavailable(f"the ledger is of version {found}, which this program does not know: {fault}") from fault
