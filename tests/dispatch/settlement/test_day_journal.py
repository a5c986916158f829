"""What is read of the journal for a day, whatever the clock did."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from dispatch.settlement.day_journal import read_day
from markets.facts import Call, CallKind
from markets.grid import Market, OperatingDay
from tests.dispatch.settlement.fixtures import HandMadeDay

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def test_a_clock_that_stood_ten_days_ahead_for_a_tick_hides_no_call(tmp_path: Path) -> None:
    """Calls that came on the afternoon after the step and on the day after it are in the records of their days."""
    first = HandMadeDay.of(tmp_path, date(2026, 8, 20))
    second = OperatingDay(Market.ERCOT, date(2026, 8, 21))
    start = first.day.start

    def call(id_: str, after: timedelta) -> Call:
        at = start + after
        return Call(
            source="qse", known_at=at, id=id_, version=1, obligation="power", kind=CallKind.DEPLOY, notice_at=at, start_at=at,
            end_at=at + HOUR, mw_cap=0.01,
        )  # fmt: skip

    first.seen(start + 10 * HOUR)
    first.seen(start + 10 * DAY)
    first.seen(start + 14 * HOUR, call("same-day", 14 * HOUR))
    first.seen(start + 30 * HOUR, call("next-day", 30 * HOUR))
    found = [{c.id for c in read_day(first.engine, day).calls if read_day(first.engine, day).bears_on(c)} for day in (first.day, second)]
    assert found == [{"same-day"}, {"next-day"}]
    assert {c.id for c in read_day(first.engine, second).calls} == {"same-day", "next-day"}, "each once"
    assert len(read_day(first.engine, second).calls) == 2
