"""Migrations make the tables the program speaks of, and a ledger of another version is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.dialects import postgresql

import dispatch.store.tables as tables
from dispatch.entries import Seen
from dispatch.store import LedgerUnavailable, dialect
from dispatch.store.instant_column import Instant, instant_text
from dispatch.store.journal import SqlJournal
from dispatch.store.price_model_table import price_models
from dispatch.store.rollups import Rollup, read_rollup_matrix, read_rollups, write_rollups
from dispatch.store.signal_rows import signals_received
from dispatch.store.verify import verify
from markets.facts import Award, Call, CallKind
from markets.grid import Interval
from tests.dispatch.store.entries import AT, QUARTER, priced


def alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(tables.__file__).parent / "migrations"))
    return config


def test_the_migrations_make_these_tables(engine: Engine) -> None:
    with tables.reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.ledger) == []
    assert ScriptDirectory.from_config(alembic()).get_current_head() == tables.REVISION


def test_down_and_up_again(engine: Engine) -> None:
    for step, left in ((command.downgrade, {"alembic_version"}), (command.upgrade, {"alembic_version", *tables.ledger.tables})):
        config = alembic()
        with tables.writing(engine) as connection:
            config.attributes["connection"] = connection
            step(config, "base" if step is command.downgrade else "head")
        assert set(inspect(engine).get_table_names()) == left


def test_roll_ups_of_an_interval_a_row_become_those_of_a_day_and_back(engine: Engine) -> None:
    start = datetime(2026, 8, 20, 23, 30, tzinfo=UTC)
    spans = [Interval(start + timedelta(minutes=15 * n), start + timedelta(minutes=15 * (n + 1))) for n in (0, 1, 3)]
    rows = [Rollup(g, over, Decimal("1.000000000001") * n, Decimal("0.25"), n, 0.1 * n) for g in ("a", "b") for n, over in enumerate(spans)]
    assert write_rollups(engine, rows) == 6
    for step, revision in ((command.downgrade, "0002"), (command.upgrade, "head")):
        config = alembic()
        with tables.writing(engine) as connection:
            config.attributes["connection"] = connection
            step(config, revision)
    assert read_rollups(engine, Interval(start, start + timedelta(hours=2)), 15) == rows
    kept = read_rollup_matrix(engine, Interval(start, start + timedelta(hours=1)), 15, ["b", "a", "c"])
    assert kept.known.tolist() == [[True, True, False, True], [True, True, False, True], [False] * 4]
    assert kept.energy[0].tolist() == [0, 1_000_000_000_001, 0, 2_000_000_000_002]
    with pytest.raises(ValueError, match="divides the day"):
        write_rollups(engine, [Rollup("a", Interval(start, start + timedelta(minutes=7)), Decimal(0), Decimal(0), 1, 0.0)])


def test_calls_and_awards_of_an_older_ledger_are_filled_from_its_journal(engine: Engine, journal: SqlJournal) -> None:
    call = Call(
        source="qse", known_at=AT, id="c-1", version=1, obligation="plant", kind=CallKind.DEPLOY, notice_at=AT, start_at=AT, mw_cap=0.5
    )
    award = Award(
        source="qse", known_at=AT, obligation="ancillary", product="ECRS", market="DAM", over=QUARTER, mw=1.0, mcpc_usd_per_mw_h=None
    )
    journal.append(priced(1.0))
    journal.append(Seen(at=AT, facts=(award, *priced(2.0).facts, call)))
    with tables.reading(engine) as connection:
        rows = connection.execute(select(tables.signals)).all()
    assert [(r.seq, r.nth, r.name) for r in rows] == [(2, 0, "ancillary"), (2, 4, "c-1")]
    for step, revision in ((command.downgrade, "0004"), (command.upgrade, "head")):
        config = alembic()
        with tables.writing(engine) as connection:
            config.attributes["connection"] = connection
            step(config, revision)
    with tables.reading(engine) as connection:
        assert connection.execute(select(tables.signals)).all() == rows
    assert signals_received(engine, Call, "c-1") == [(2, call)] and signals_received(engine, Award) == [(2, award)]
    assert verify(engine).findings == ()
    with tables.writing(engine) as connection:
        connection.execute(text("DROP TRIGGER signals_no_update"))
        connection.execute(text("UPDATE signals SET name = 'c-2' WHERE name = 'c-1'"))
    assert [f.kind for f in verify(engine).findings] == ["projection"]


def test_price_models_of_an_older_ledger_are_recorded_as_they_are(engine: Engine) -> None:
    config = alembic()
    with tables.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0009")
        row = {"point": "HB_WEST", "version": 1, "market": "ercot", "accepted": True, "trained_at": AT, "sha256": "0" * 64, "packed": b"x"}
        connection.execute(price_models.insert(), row)
    assert [f.kind for f in verify(engine).findings] == ["record"], "nothing recorded it"
    with tables.writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    assert verify(engine).findings == ()


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path, engine: Engine) -> None:
    with tables.writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerUnavailable, match="version 9999"):
        tables.open_ledger(tmp_path)


class Refusing:
    """A connection that SQLite refuses to change for so many times, as it does while another process changes the same file."""

    def __init__(self, times: int, why: str) -> None:
        self.left, self.why = times, why

    def execute(self, sql: str) -> Refusing:
        if self.left:
            self.left -= 1
            raise dialect.sqlite.OperationalError(self.why)
        return self

    def fetchall(self) -> list[tuple[str]]:
        return [("wal",)]


def test_a_ledger_that_several_processes_make_at_once_is_waited_for() -> None:
    waited = Refusing(3, "database is locked")
    dialect.use_wal(waited, 60.0)
    assert not waited.left
    for connection, busy_s in ((Refusing(1, "database is locked"), 0.0), (Refusing(1, "disk I/O error"), 60.0)):
        with pytest.raises(dialect.sqlite.OperationalError):
            dialect.use_wal(connection, busy_s)


def test_every_commit_is_durable(engine: Engine) -> None:
    with tables.reading(engine) as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous", "busy_timeout", "mmap_size")
        ]
    assert settings[:3] == ["wal", 2, 5000] and not settings[3]


def test_the_database_clock_is_of_today(engine: Engine) -> None:
    with tables.reading(engine) as connection:
        now_s = connection.execute(select(dialect.db_now_s())).scalar()
    assert now_s is not None and abs(now_s - datetime.now(UTC).timestamp()) < 60
    spoken = str(select(dialect.db_now_s(), dialect.utf8(tables.journal.c.kind)).compile(dialect=postgresql.dialect()))
    assert "clock_timestamp" in spoken and "convert_to(journal.kind, 'UTF8')" in spoken


offsets = st.sampled_from([UTC, timezone(timedelta(hours=-6))])


@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=offsets), max_size=5))
def test_text_order_is_time_order_and_instants_come_back(instants: list[datetime]) -> None:
    written = [instant_text(at) for at in instants]
    assert [Instant().process_result_value(t, None) for t in written] == instants
    assert sorted(written) == [instant_text(at) for at in sorted(instants)]
    assert all(len(t) == 27 for t in written)


def test_an_instant_needs_an_offset() -> None:
    with pytest.raises(ValueError, match="offset"):
        instant_text(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("version", "keeps"), [((3, 40, 1), False), ((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), False), ((3, 53, 4), True)]
)
def test_sqlite_versions_that_lose_rows_are_refused(version: tuple[int, ...], keeps: bool) -> None:
    assert dialect.safe(version) is keeps
