"""Everything that differs between SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from time import sleep
from typing import Any

import pysqlite3.dbapi2 as sqlite
from sqlalchemy import Connection, Engine, Float, LargeBinary, String, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from dispatch.clock import wall_s
from dispatch.store import LedgerUnavailable

# Builds before 3.51.3 can lose committed rows when two connections write and checkpoint at once (sqlite.org/wal.html, "The WAL-Reset Bug");
# 3.52.0 was withdrawn.
SQLITE_AT_LEAST = (3, 51, 3)
SQLITE_WITHDRAWN = ((3, 52, 0),)


def safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite version is free of the WAL-reset bug."""
    return version >= SQLITE_AT_LEAST and version not in SQLITE_WITHDRAWN


def append_only_ddl(table: str, dialect: str) -> tuple[str, ...]:
    """The statements that make a table refuse UPDATE and DELETE."""
    if dialect == "sqlite":
        return tuple(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        )
    return (
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()",
    )


def structure_faults(connection: Connection) -> list[str]:
    """What SQLite's own check says of the ledger's pages and indexes; empty when all is sound, and on PostgreSQL, which checks its own."""
    if connection.dialect.name != "sqlite":
        return []
    try:
        found = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    except (SQLAlchemyError, UnicodeDecodeError) as fault:
        return [f"the ledger's structure cannot be checked: {fault}"]
    return [] if found == ["ok"] else [f"the ledger's structure is damaged: {text}" for text in found]


class db_now_s(FunctionElement[float]):
    """The database's own clock, epoch seconds: the one clock that all processes of a ledger share."""

    type = Float()
    inherit_cache = True


@compiles(db_now_s, "sqlite")
def _db_now_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return "unixepoch('subsec')"


@compiles(db_now_s)
def _db_now(element: Any, compiler: Any, **kw: Any) -> str:
    return "extract(epoch FROM clock_timestamp())"


class utf8(FunctionElement[bytes]):
    """A text column as its stored bytes, so that a damaged one can still be read and named."""

    type = LargeBinary()
    inherit_cache = True


@compiles(utf8, "sqlite")
def _utf8_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS BLOB)"


@compiles(utf8)
def _utf8(element: Any, compiler: Any, **kw: Any) -> str:
    return f"convert_to({compiler.process(element.clauses, **kw)}, 'UTF8')"


class document_id(FunctionElement[str]):
    """The `id` of a JSON document in a text column; an index holds it."""

    type = String()
    inherit_cache = True


@compiles(document_id, "sqlite")
def _document_id_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **kw)}, '$.id')"


@compiles(document_id)
def _document_id(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(({compiler.process(element.clauses, **kw)})::json ->> 'id')"


def use_wal(connection: Any, busy_s: float) -> None:
    """Writes go to a log first. Of processes that make one file at the same time SQLite refuses all but one at once, without waiting as it
    does for other locks (https://sqlite.org/wal.html, "Sometimes queries return SQLITE_BUSY"): hence tried again."""
    until_s = wall_s() + busy_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except sqlite.OperationalError as fault:
            if "locked" not in str(fault) or wall_s() >= until_s:
                raise
        sleep(0.02)


def sqlite_engine(file: Path, busy_s: float) -> Engine:
    """Connections to a ledger file: WAL, every commit on the disk. `writes=True` in a connection's execution options takes the lock first.

    Raises LedgerUnavailable when the SQLite version can lose committed rows."""
    if not safe(sqlite.sqlite_version_info):
        raise LedgerUnavailable(
            f"SQLite {sqlite.sqlite_version} can lose committed rows: pysqlite3 must carry {'.'.join(map(str, SQLITE_AT_LEAST))} or newer"
        )
    engine = create_engine(f"sqlite:///{file}", module=sqlite, connect_args={"timeout": busy_s, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
        use_wal(connection, busy_s)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON", "mmap_size=0"):
            connection.execute(f"PRAGMA {pragma}").fetchall()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A write takes the lock before it reads: the fencing token it checks is then still true when it commits.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
