"""Which day `settle latest` means."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from dispatch.entries import Planned, Seen
from dispatch.service.replay import END_WAIT
from dispatch.settlement.requested_days import newest_day
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from markets.grid import Market, OperatingDay


@pytest.mark.parametrize("market", [Market.ERCOT, Market.MISO])
def test_latest_is_the_day_of_the_newest_plan(tmp_path: Path, market: Market) -> None:
    day = OperatingDay(market, date(2026, 8, 19))
    engine = open_ledger(tmp_path)
    journal = SqlJournal(engine, lease.take(engine, "here", 60.0))
    journal.append(Planned(at=day.end - timedelta(minutes=1), as_of=0, plan=None, failed="no answer"))
    journal.append(Seen(at=day.end + END_WAIT))
    assert journal.last_at() == day.end + END_WAIT and journal.last_at("Commanded") is None
    assert newest_day(engine, market) == day.on
    engine.dispose()
