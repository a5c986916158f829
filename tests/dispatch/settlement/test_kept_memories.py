"""A settlement goes on from the newest memory that the ledger keeps; a later version of an input makes it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from dispatch.entries import Seen
from dispatch.settlement.kept_memories import made_from_now
from dispatch.settlement.memories_before import memories_before
from dispatch.store.rollups import Rollup, write_rollups
from dispatch.store.settled_memories import settled_memories_before
from dispatch.store.tables import settled_memories, writing
from markets.facts import Call, CallKind
from markets.grid import Interval, OperatingDay
from tests.dispatch.settlement.fixtures import HOSTING_AND_ERS, HandMadeDay

ON = date(2026, 8, 20)
QUARTER = timedelta(minutes=15)
BOOK = f"""{HOSTING_AND_ERS}
[[obligations]]
type = "transmission"
method = "ncp"
usd_per_kw_year = 120.0
"""
EVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> HandMadeDay:
    """Run for ten days before the 20th of August, at other loads each quarter hour."""
    made = HandMadeDay.of(tmp_path, ON, extra=BOOK)
    made.ran_before(10)
    start = made.day.start - timedelta(days=10)
    spans = [Interval(start + n * QUARTER, start + (n + 1) * QUARTER) for n in range(12 * 96)]
    for group, mwh in (("a", "0.0075"), ("b", "0.0041")):
        write_rollups(made.engine, [Rollup(group, o, (n % 7 + 1) * Decimal(mwh) / 7, Decimal("0.01"), 4, 0.0) for n, o in enumerate(spans)])
    made.prices(lambda n: 30.0)
    return made


def kept(site: HandMadeDay, until: datetime) -> dict[str, Any]:
    memories = memories_before(site.engine, site.telemetry, site.setup, until, None)
    return {name: memory.to_json() for name, memory in memories.items()}


def read_whole(site: HandMadeDay, until: datetime) -> dict[str, Any]:
    """The same from every day that contracts remember: what is asked as of an instant goes on from nothing."""
    memories = memories_before(site.engine, site.telemetry, site.setup, until, EVER)
    return {name: memory.to_json() for name, memory in memories.items()}


@contextmanager
def counted_statements(site: HandMadeDay) -> Iterator[list[str]]:
    said: list[str] = []

    def hear(*arguments: Any) -> None:
        said.append(arguments[2])

    event.listen(site.engine, "before_cursor_execute", hear)
    yield said
    event.remove(site.engine, "before_cursor_execute", hear)


def test_a_settlement_reads_only_the_days_since_the_newest_memory(site: HandMadeDay) -> None:
    with counted_statements(site) as first:
        made = kept(site, site.day.start)
    with counted_statements(site) as again:
        assert kept(site, site.day.start) == made
    assert made == read_whole(site, site.day.start)
    assert made["transmission"]["own_peak_mw"] > 0 and len(again) < len(first) / 8
    site.seen()
    with counted_statements(site) as following:
        made = kept(site, site.day.end)
    assert made == read_whole(site, site.day.end) and len(following) < len(first) / 2
    noon = site.day.end + timedelta(hours=12)
    site.observed(Interval(site.day.end + timedelta(hours=1), noon + timedelta(hours=1)))
    assert kept(site, noon) == read_whole(site, noon), "a day that goes on is not kept"
    assert max(m.until for m in settled_memories_before(site.engine, noon, _outside(site))) == site.day.end


def _outside(site: HandMadeDay) -> str:
    return made_from_now(site.engine, site.setup).outside


@pytest.mark.parametrize("days", [1, 4, 9])
def test_a_price_that_comes_late_makes_the_memories_since_again(site: HandMadeDay, days: int) -> None:
    """A quarter hour with ten times the load had no price, and was a gap: with its price it is the month's own peak."""
    over = Interval(site.day.start - timedelta(days=days), site.day.start - timedelta(days=days) + QUARTER)
    site.journal.append(Seen(at=site.day.start, facts=(site.price(over, float(days), known_at=site.day.start),)))
    write_rollups(site.engine, [Rollup("a", over, Decimal("0.075"), Decimal("0.01"), 4, 0.0)])
    before = kept(site, site.day.start)
    site.journal.append(Seen(at=site.day.start + timedelta(hours=1), facts=(site.price(over, 31.0, known_at=site.day.start + QUARTER),)))
    ends = {m.until: m.made_from.seq for m in settled_memories_before(site.engine, site.day.start, _outside(site))}
    assert kept(site, site.day.start) == read_whole(site, site.day.start)
    made_again = {m.until for m in settled_memories_before(site.engine, site.day.start, _outside(site)) if m.made_from.seq > ends[m.until]}
    assert len(made_again) == days and before["transmission"]["own_peak_mw"] > 0.3


def test_a_roll_up_that_changes_makes_the_memories_since_again(site: HandMadeDay) -> None:
    before = kept(site, site.day.start)
    start = site.day.start - timedelta(days=2)
    assert write_rollups(site.engine, [Rollup("a", Interval(start, start + QUARTER), Decimal("0.09"), Decimal("0.01"), 4, 0.0)]) == 1
    after = kept(site, site.day.start)
    assert after == read_whole(site, site.day.start) and after["transmission"] != before["transmission"]


def test_a_call_that_comes_late_makes_the_memories_since_again(site: HandMadeDay) -> None:
    before = kept(site, site.day.start)
    start = OperatingDay(site.day.market, ON - timedelta(days=3)).start + timedelta(hours=15)
    call = Call(
        source="hand", known_at=site.day.start + QUARTER, id="late", version=1, obligation="ers", kind=CallKind.DEPLOY,
        notice_at=start - QUARTER, start_at=start, end_at=start + timedelta(hours=1), mw_cap=0.0,
    )  # fmt: skip
    site.journal.append(Seen(at=site.day.start + timedelta(hours=1), facts=(call,)))
    after = kept(site, site.day.start)
    assert after == read_whole(site, site.day.start) and after["ers"] != before["ers"]


def test_a_memory_whose_bytes_were_changed_or_that_another_site_file_made_is_not_read(site: HandMadeDay) -> None:
    made = kept(site, site.day.start)
    with writing(site.engine) as connection:
        connection.execute(settled_memories.update().values(sha256="0" * 64))
    assert kept(site, site.day.start) == made
    assert not list(settled_memories_before(site.engine, site.day.start, "another"))
