"""A day's bill includes calls and awards received days before it."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from dispatch.settlement.signals import signals_seen
from markets.facts import Award, Call, CallKind
from markets.grid import Interval, Market
from tests.dispatch.settlement.fixtures import HandMadeDay

BOOK = """
[[obligations]]
type = "lmr"
zone = 6
mw = 0.1
firm_service_mw = 0.02
[[obligations]]
type = "drr"
mw = 0.02
baseline_mw = 0.05
reserves = ["SPIN"]
"""
DAY = timedelta(days=1)


def test_an_instruction_without_an_end_and_an_award_of_three_days_ago(tmp_path: Path) -> None:
    """46.5 kW against a firm service level of 20, at 40 $/MWh, and 10 kW of reserve sold at 5 $ per MW and hour."""
    site_day = HandMadeDay.of(tmp_path, date(2025, 7, 16), Market.MISO, BOOK)
    then = site_day.day.start - 3 * DAY
    call = Call(source="miso", known_at=then, id="e1", version=1, obligation="lmr", kind=CallKind.DEPLOY, notice_at=then, start_at=then,
                mw_cap=0.02)  # fmt: skip
    award = Award(source="miso", known_at=then, obligation="drr", product="SPIN", market="DAM", over=site_day.day.over, mw=0.01,
                  mcpc_usd_per_mw_h=5.0)  # fmt: skip
    site_day.seen(then, call, award)
    site_day.run_all()
    site_day.prices(lambda n: 40.0)
    site_day.seen()
    totals = site_day.settle()["totals"]
    assert Decimal(totals["lmr/lmr_shortfall"]) == Decimal("-25.44")
    assert Decimal(totals["drr/spin_day_ahead"]) == Decimal("1.20")
    assert Decimal(totals["lmr/lmr_capacity"]) == Decimal("66.65")


def test_only_what_was_seen_in_the_span_and_known_by_then(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path, date(2025, 7, 16), Market.MISO, BOOK)
    at = site_day.day.start
    calls = [
        Call(source="miso", known_at=at + n * DAY, id=f"e{n}", version=1, obligation="lmr", kind=CallKind.DEPLOY, notice_at=at, start_at=at,
             mw_cap=0.02) for n in range(3)
    ]  # fmt: skip
    for call in calls:
        site_day.seen(call.known_at, call)
    assert signals_seen(site_day.engine, Call, Interval(at, at + 2 * DAY), None) == tuple(calls[:2])
    assert signals_seen(site_day.engine, Call, Interval(at, at + 9 * DAY), at + DAY) == tuple(calls[:2])
    assert signals_seen(site_day.engine, Award, Interval(at, at + 9 * DAY), None) == ()
