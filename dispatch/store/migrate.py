"""Brings a ledger to this version's tables by the migrations in `migrations/`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from dispatch.store import LedgerUnavailable


def revision(connection: Connection) -> str | None:
    """The revision of a ledger's tables; None when it has none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version = Table("alembic_version", MetaData(), Column("version_num", String))
    return connection.execute(select(version.c.version_num)).scalar()


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest revision. Raises LedgerUnavailable when they are of a version that this program does not know."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as fault:
        found = revision(connection)
        raise LedgerUnavailable(f"the ledger is of version {found}, which this program does not know: {fault}") from fault
