"""ERCOT's dispatch and look-ahead runs through unmodified gridstatus, led to a loopback TLS server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from markets import Refused, Unreachable
from markets.facts import Fact, IndicativePrices, IndicativeReservePrices, Price, PriceMarket, ReservePrice
from markets.sources.ercot_documents import newest_listed
from markets.sources.ercot_runs import ErcotRunsSource
from markets.sources.feed import Feed
from tests.conformance.source_kit import check_facts
from tests.markets.sources.ercot_pages import PRODUCTS, RUN, ErcotPages, invented
from tests.markets.sources.ercot_pages import feed as feed  # the fixtures of ERCOT's pages
from tests.markets.sources.ercot_pages import pages as pages
from tests.markets.sources.tls import Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

RAN = datetime(2026, 8, 20, 18, 5, 11, tzinfo=UTC)
FIVE = timedelta(minutes=5)
FALL_BACK = datetime(2026, 11, 1, 6, 35, 12, tzinfo=UTC)  # 01:35 CDT, an hour before 01:35 CST


class Now:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


def source(feed: Feed, now: Now) -> ErcotRunsSource:
    made = ErcotRunsSource(["LZ_WEST", "LZ_WEST_EW"], now)
    made.feed = feed
    return made


async def one_run(asked: ErcotRunsSource, now: Now) -> list[Fact]:
    """All documents of a run, the price of now first."""
    facts = [*await asked.fetch(now.at - FIVE, now.at)]
    while asked.next_request_at(now.at) == now.at:
        facts += await asked.fetch(now.at - FIVE, now.at)
    return facts


@pytest.mark.parametrize("ran", [RAN, FALL_BACK, FALL_BACK + timedelta(hours=1)])
async def test_a_run_is_the_price_of_now_and_what_the_market_expects(feed: Feed, pages: ErcotPages, ran: datetime) -> None:
    now = Now(ran + timedelta(seconds=15))
    pages.post_run(ran, ["LZ_WEST", "HB_WEST"])
    asked = source(feed, now)
    first = await asked.fetch(now.at - FIVE, now.at)
    start = ran.replace(second=0)
    assert {(f.point, f.over.start, f.usd_per_mwh) for f in first if isinstance(f, Price)} == {
        (point, start, invented("LZ_WEST", start)) for point in ("LZ_WEST", "LZ_WEST_EW")
    }
    assert {f.market for f in first if isinstance(f, Price)} == {PriceMarket.REAL_TIME_SCED}
    facts = await one_run(asked, now)
    check_facts(asked, facts, now.at - FIVE, now.at)
    ahead = {f.point: f for f in facts if isinstance(f, IndicativePrices)}
    assert set(ahead) == {"LZ_WEST", "LZ_WEST_EW"} and ahead["LZ_WEST"].over.start == start + FIVE
    assert ahead["LZ_WEST"].usd_per_mwh == tuple(invented("LZ_WEST", start + n * FIVE) for n in range(1, 12))
    reserve = [f for f in facts if isinstance(f, ReservePrice)]
    assert {(f.product, f.market, f.over.start) for f in reserve} == {(p, "REAL_TIME_SCED", start) for p in PRODUCTS}
    assert {f.product for f in facts if isinstance(f, IndicativeReservePrices)} == set(PRODUCTS)


async def test_the_next_request_waits_for_the_next_run_and_then_comes_every_two_seconds(feed: Feed, pages: ErcotPages) -> None:
    now = Now(RAN + timedelta(seconds=15))
    pages.post_run(RAN, ["LZ_WEST"])
    asked = source(feed, now)
    await one_run(asked, now)
    due = RAN.replace(second=0) + FIVE + timedelta(seconds=5)
    assert asked.next_request_at(now.at) == due
    now.at = due
    assert await asked.fetch(due - FIVE, due) == [] and asked.next_request_at(due) == due + timedelta(seconds=2)
    late = due + timedelta(minutes=9)
    assert asked.next_request_at(late) == late + timedelta(seconds=2)
    late = due + timedelta(minutes=20)
    assert asked.next_request_at(late) == late + timedelta(seconds=30)
    pages.post_run(RAN + FIVE, ["LZ_WEST"])
    now.at = due + timedelta(seconds=8)
    assert len(await one_run(asked, now)) == 2 + 2 + 5 + 5


async def test_a_run_is_found_in_a_list_of_five_days_whatever_its_order(feed: Feed, pages: ErcotPages) -> None:
    now = Now(RAN + timedelta(seconds=15))
    pages.post_run(RAN, ["LZ_WEST"])
    days_before = [RAN - n * timedelta(hours=12) for n in range(1, 10)]
    for posted in days_before:
        pages.post(RUN, f"LMPSROSNODENP6788_{posted:%Y%m%d_%H%M%S}", posted, b"not a table")
    assert len(await one_run(source(feed, now), now)) == 14
    listed = [{"Document": document} for document in pages.reports[RUN]]
    assert len(listed) == 20 and newest_listed(listed) == listed[-2:]
    assert newest_listed([]) == []


async def test_nothing_posted_yet_is_no_failure_and_an_outage_is_tried_again_soon(feed: Feed, pages: ErcotPages) -> None:
    now = Now(RAN)
    asked = source(feed, now)
    pages.post_run(RAN, ["LZ_WEST"])
    pages.fault = lambda path: Reply(b"try later", 503)
    with pytest.raises(Unreachable):
        await asked.fetch(RAN - FIVE, RAN)
    assert asked.next_request_at(now.at) == now.at + timedelta(seconds=10)
    pages.fault = lambda path: None
    assert len(await one_run(asked, now)) == 14


async def test_a_run_with_an_implausible_price_is_refused_as_a_whole(feed: Feed, pages: ErcotPages) -> None:
    now = Now(RAN + timedelta(seconds=15))
    pages.post_run(RAN, ["LZ_WEST"], lambda point, at: 90_000.0)
    with pytest.raises(Refused, match="outside what the market's rules allow"):
        await source(feed, now).fetch(RAN - FIVE, now.at)


async def test_before_a_run_is_posted_there_is_nothing(feed: Feed, pages: ErcotPages) -> None:
    asked = source(feed, Now(RAN))
    assert await asked.fetch(RAN - FIVE, RAN) == []
