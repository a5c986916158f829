"""Awards on a statement: paid once however they were cut, at the published price, in the day they are of however late they come."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from dispatch.decide.state import State
from dispatch.service.nightly_settlement import NightlySettlement
from dispatch.settlement.document import DayStatement
from dispatch.site_file.load import setup_from_document
from dispatch.store.statements import kept_statement
from markets.facts import Award, ReservePrice
from markets.grid import Interval
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 8, 20)
RESERVE = """
[[obligations]]
type = "ancillary"
products = ["ECRS"]
"""
HOUR = timedelta(hours=1)


def site_day(folder: Path) -> HandMadeDay:
    made = HandMadeDay.of(folder, ON, extra=RESERVE)
    made.prices(lambda n: 30.0)
    made.run_all()
    return made


def hours(made: HandMadeDay, first: int, last: int) -> Interval:
    return Interval(made.day.start + first * HOUR, made.day.start + last * HOUR)


def award(over: Interval, known_at: datetime, mw: float = 0.02, usd: float | None = 50.0, product: str = "ECRS") -> Award:
    return Award(source="qse", known_at=known_at, obligation="ancillary", product=product, market="DAM", over=over, mw=mw,
                 mcpc_usd_per_mw_h=usd)  # fmt: skip


def published(over: Interval, usd: float) -> ReservePrice:
    return ReservePrice(source="hand", known_at=over.start - 12 * HOUR, product="ECRS", market="DAM", over=over, usd_per_mw_h=usd)


def paid_usd(statement: DayStatement) -> Decimal:
    return Decimal(statement["totals"].get("ancillary/ecrs_day_ahead", "0"))


def test_an_award_sent_again_in_other_cuts_is_paid_once(tmp_path: Path) -> None:
    """20 kW for two hours at 50 $, sent as one award, by hours, and in another span: 2.00 $."""
    here = site_day(tmp_path)
    at = here.day.start - 6 * HOUR
    here.seen(at, award(hours(here, 9, 11), at), award(hours(here, 9, 10), at), award(hours(here, 10, 11), at))
    here.seen(at + HOUR, award(hours(here, 9, 11), at + HOUR))
    here.seen()
    assert paid_usd(here.settle()) == Decimal("2.00")


def test_a_later_award_replaces_the_hours_it_speaks_of(tmp_path: Path) -> None:
    """20 kW from 9 to 12 at 50 $; an hour later 10 kW from 10 to 11 at 80 $: 1.00 + 0.80 + 1.00 $."""
    here = site_day(tmp_path)
    at = here.day.start - 6 * HOUR
    here.seen(at, award(hours(here, 9, 12), at))
    here.seen(at + HOUR, award(hours(here, 10, 11), at + HOUR, mw=0.01, usd=80.0))
    here.seen()
    assert paid_usd(here.settle()) == Decimal("2.80")


def test_the_published_price_pays_whatever_price_an_award_came_with(tmp_path: Path) -> None:
    """One came at 0 $ before the market published 50 $, one without a price; an hour that has none yet is not billed, and said so."""
    here = site_day(tmp_path)
    at = here.day.start - 13 * HOUR
    here.seen(at, award(hours(here, 9, 10), at, usd=0.0), award(hours(here, 10, 12), at, usd=None))
    here.facts += [published(hours(here, n, n + 1), 50.0) for n in (9, 10)]
    here.seen()
    statement = here.settle()
    assert paid_usd(statement) == Decimal("2.00")
    found = {f["kind"]: f["text"] for f in statement["findings"]}
    assert "came with another price than the market published, which pays: first $0.00" in found["award-price-differs"]
    assert "not known for 1 h" in found["award-price-unknown"]


def test_an_award_that_no_contract_sells_is_no_promise_kept(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    at = here.day.start - 6 * HOUR
    here.seen(at, award(hours(here, 9, 10), at, mw=500.0, product="ECSR"))
    here.seen()
    statement = here.settle()
    assert statement["promises"] == [] and [f["kind"] for f in statement["findings"]] == ["award-not-sold"]


async def test_an_award_that_comes_days_after_its_day_settles_it_again(tmp_path: Path) -> None:
    here = site_day(tmp_path)
    here.seen()
    nightly = NightlySettlement(here.setup, tmp_path, here.engine, here.telemetry, at_once=True)
    state = State.start(here.setup, setup_from_document)
    await nightly(here.day.end + timedelta(minutes=10), state)
    late = here.day.end + timedelta(days=5)
    here.seen(late, award(hours(here, 9, 11), late))
    await nightly(late + timedelta(minutes=1), state)
    await nightly(late + timedelta(hours=25), state)
    await nightly(late + timedelta(hours=27), state)
    kept = kept_statement(here.engine, ON, here.day.market.value)
    assert kept is not None and kept.version == 2
    assert paid_usd(here.settle()) == Decimal("2.00") and here.settle()["delta"] is not None
    assert paid_usd(here.settle(known_at=late - HOUR)) == 0, "not known before it came"
