"""Past prices fetched into an archive, from a child process that answers as the markets' children do."""

import textwrap
from datetime import UTC, date, datetime, timedelta

import pytest

from markets.archive.archive import Archive
from markets.facts import PriceMarket
from markets.grid import Interval, Market, OperatingDay
from markets.sources.feed import Feed
from markets.sources.history import History, days_between

MODULE = """
import pathlib
from datetime import datetime
HERE = pathlib.Path(__file__).parent
class NoDataFoundException(Exception): pass
def _rows(first, last, step, points):
    usd = float((HERE / "usd").read_text())
    with (HERE / "asked").open("a") as asked: asked.write(f"{first} {points}\\n")
    return [[s, s + step, p, usd + (s - first) / step] for p in points for s in range(first, last, step)]
def real_time(points, start, end):
    return _rows(int(datetime.fromisoformat(start).timestamp()), int(datetime.fromisoformat(end).timestamp()), 900, points)
def day_ahead(points, day):
    if (HERE / "late").exists(): raise NoDataFoundException("no documents are listed")
    first = int(datetime.fromisoformat(day + "T05:00+00:00").timestamp())
    return _rows(first, first + 86400, 3600, points)
def real_time_final(points, published_on):
    monday = int(datetime.fromisoformat(published_on + "T05:00+00:00").timestamp()) - 14 * 86400
    return _rows(monday, monday + 7 * 86400, 300, points)
def child(): return {f.__name__: f for f in (real_time, day_ahead, real_time_final)}
"""
ON = date(2024, 8, 6)
LATER = datetime(2024, 8, 20, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "market_of_a_test.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "usd").write_text("20")
    return tmp_path


def history(folder, market=Market.ERCOT, point="HB_WEST", **options):
    feed = Feed("market_of_a_test", env={"PYTHONPATH": str(folder)})
    return feed, History(feed, Archive(folder / "archive"), market, [point], lambda: LATER, **options)


def asked(folder):
    return len((folder / "asked").read_text().splitlines())


async def test_a_day_that_the_archive_has_is_not_asked_for_again(folder):
    feed, past = history(folder)
    first = await past.fetch(ON)
    assert [(f.market.value, f.facts, f.missing) for f in first] == [("REAL_TIME_15_MIN", 96, ""), ("DAY_AHEAD_HOURLY", 24, "")]
    assert await past.fetch(ON) == [] and asked(folder) == 2
    await feed.aclose()


async def test_a_day_that_is_not_published_is_named_and_asked_for_later(folder):
    (folder / "late").touch()
    feed, past = history(folder)
    real_time, day_ahead = await past.fetch(ON)
    assert real_time.facts == 96 and "no documents are listed" in day_ahead.missing
    (folder / "late").unlink()
    assert [f.market.value for f in await past.fetch(ON)] == ["DAY_AHEAD_HOURLY"]
    await feed.aclose()


async def test_other_prices_of_a_known_day_are_kept_as_a_later_vintage(folder):
    feed, past = history(folder)
    await past.fetch(ON)
    (folder / "usd").write_text("25")
    await feed.aclose()
    feed, past = history(folder, again=True)
    assert [f.corrected for f in await past.fetch(ON)] == [96, 24]
    over, archive = OperatingDay(Market.ERCOT, ON).over, Archive(folder / "archive")
    vintages = [(known_at, PriceMarket.REAL_TIME_15_MIN) for known_at in (LATER - timedelta(hours=1), LATER)]
    first, newest = (archive.final_prices("HB_WEST", [market], over, known_at)[0] for known_at, market in vintages)
    assert (first.usd_per_mwh, newest.usd_per_mwh, newest.known_at) == (20.0, 25.0, LATER)
    await feed.aclose()


async def test_a_week_of_final_five_minute_prices_is_one_question(folder):
    feed, past = history(folder, Market.MISO, "ILLINOIS.HUB")
    found = [f for on in (ON, ON + timedelta(days=1)) for f in await past.fetch(on) if f.market is PriceMarket.REAL_TIME_5_MIN]
    assert [f.facts for f in found] == [288, 288]
    assert asked(folder) == 3  # the week, and the day-ahead prices of two days
    await feed.aclose()


def test_days_that_touch_a_span():
    span = Interval(datetime(2024, 8, 6, 5, tzinfo=UTC), datetime(2024, 8, 8, 5, tzinfo=UTC))
    assert days_between(Market.ERCOT, span) == [date(2024, 8, 6), date(2024, 8, 7)]
