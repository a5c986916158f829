"""A charge that cannot be computed is of unknown amount on every statement it touches, never zero."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dispatch.entries import RunEnded, RunStarted, Seen
from dispatch.reports import write
from dispatch.settlement.document import DayStatement
from dispatch.settlement.month import add_up
from dispatch.settlement.superseded_peaks import days_with_superseded_peaks
from markets.facts import SystemLoad
from markets.grid import Interval, Market, OperatingDay
from tests.dispatch.settlement.fixtures import HandMadeDay

FOUR_CP = '[[obligations]]\ntype = "transmission"\nmethod = "4cp"\nusd_per_kw_year = 60.0\n'
PRA = '[[obligations]]\ntype = "pra"\nzone = 6\nusd_per_mw_day = { spring = 100.0, summer = 100.0, fall = 100.0, winter = 100.0 }\n'
AUGUST, DECEMBER = date(2026, 8, 20), date(2026, 12, 10)
CHARGE, COST = "transmission/coincident_peak", "pra/capacity_cost"


def run_day(folder: Path, on: date, extra: str, market: Market = Market.ERCOT) -> HandMadeDay:
    made = HandMadeDay.of(folder, on, market, extra)
    made.prices(lambda n: 30.0)
    made.run_all()
    return made


def system_load(made: HandMadeDay, mw: float, hours: range) -> Iterator[SystemLoad]:
    for over in made.day.grid(60).intervals:
        if (hour := over.start.astimezone(made.day.market.tz).hour) in hours:
            load = mw + 1000.0 * min(hour, 16)
            yield SystemLoad(source="hand", known_at=over.end + timedelta(minutes=2), over=over, load_mw=load)


def settled(made: HandMadeDay, *loads: SystemLoad) -> DayStatement:
    made.facts += loads
    made.seen()
    return made.settle()


@pytest.mark.parametrize(("extra", "market", "name"), [(FOUR_CP, Market.ERCOT, CHARGE), (PRA, Market.MISO, COST)])
def test_without_system_load_a_coincident_charge_is_unknown_on_every_statement(
    tmp_path: Path, extra: str, market: Market, name: str
) -> None:
    day = settled(run_day(tmp_path, AUGUST, extra, market))
    (row,) = [row for row in day["lines"] if f"{row['obligation']}/{row['charge_type']}" == name]
    assert row["amount_usd"] is None and row["quantity"] is None and market.value.upper() in row["source"]
    assert day["totals"][name] is None
    assert day["unknown"] == [{"name": name, "known_usd": "0.00", "why": f"no system load of {market.value.upper()} is known there"}]
    assert Decimal(day["net_usd"]) == sum(Decimal(usd) for usd in day["totals"].values() if usd is not None)
    assert any(f["kind"] == "unknown-charge" and name in f["text"] for f in day["findings"])
    assert any("system load" in text for text in day["narrative"]["actions"])
    month = add_up([day], AUGUST, AUGUST)
    assert month["totals"][name] is None and any("system load" in text for text in month["actions"])
    for text in (write.as_html(day), write.month_as_html(month)):
        assert "THE NET IS NOT COMPLETE" in text and ">unknown<" in text
    rows = list(csv.DictReader(io.StringIO(write.as_csv(day))))
    assert "unknown" in {r["amount_usd"] for r in rows if f"{r['obligation']}/{r['charge_type']}" == name}
    assert "unknown" in write.month_as_csv(month)
    for document in (write.as_pdf(day), write.as_xlsx(day), write.month_as_pdf(month), write.month_as_xlsx(month)):
        assert document
    assert json.loads(write.as_json(day))["totals"][name] is None


def test_with_system_load_or_in_a_month_that_does_not_count_nothing_is_unknown(tmp_path: Path) -> None:
    winter = settled(run_day(tmp_path / "winter", DECEMBER, FOUR_CP))
    assert not winter["unknown"] and CHARGE not in winter["totals"]
    made = run_day(tmp_path / "summer", AUGUST, FOUR_CP)
    summer = settled(made, *system_load(made, 60_000.0, range(24)))
    assert not summer["unknown"] and Decimal(summer["totals"][CHARGE] or 0) < 0


def test_a_gap_that_cannot_hold_the_peak_leaves_the_charge_known(tmp_path: Path) -> None:
    night = run_day(tmp_path / "night", AUGUST, FOUR_CP)
    assert not settled(night, *system_load(night, 60_000.0, range(1, 24)))["unknown"], "at one it was a fifth below the highest"
    noon = run_day(tmp_path / "noon", AUGUST, FOUR_CP)
    day = settled(noon, *system_load(noon, 60_000.0, range(15)))
    assert day["totals"][CHARGE] is None and Decimal(day["unknown"][0]["known_usd"]) < 0, "the evening may have been higher"
    assert Decimal(day["net_usd"]) == sum(Decimal(usd) for usd in day["totals"].values() if usd) + Decimal(day["unknown"][0]["known_usd"])


def test_a_known_day_and_an_unknown_one_do_not_add_up_to_a_known_month(tmp_path: Path) -> None:
    unknown = settled(run_day(tmp_path / "a", AUGUST, FOUR_CP))
    made = run_day(tmp_path / "b", AUGUST + timedelta(days=1), FOUR_CP)
    known = settled(made, *system_load(made, 60_000.0, range(24)))
    month = add_up([unknown, known], AUGUST, AUGUST + timedelta(days=1))
    assert month["totals"][CHARGE] is None and month["unknown"][0]["known_usd"] == known["totals"][CHARGE]
    assert Decimal(month["net_usd"]) == Decimal(unknown["net_usd"]) + Decimal(known["net_usd"])


def interrupted(folder: Path, stops: float, goes_on: float) -> HandMadeDay:
    """Run from midnight, stopped at one hour, and run again from another on, which may be of the next day."""
    made = HandMadeDay.of(folder, AUGUST, extra=FOUR_CP)
    made.prices(lambda n: 30.0)
    stop, again = made.day.start + timedelta(hours=stops), made.day.start + timedelta(hours=goes_on)
    made.observed(Interval(made.day.start, stop))
    made.journal.append(RunEnded(at=stop))
    for half in range(2 * 24 + 1):
        at = made.day.start + timedelta(hours=half / 2)
        if not stop < at < again:
            made.read(at, "a", range(10), [3000.0] * 10, [150.0] * 10)
            made.read(at, "b", range(5), [3300.0] * 5, [110.0] * 5)
    run = RunStarted(at=again, world="live", version="t", config_hash=made.setup.hash_id, token=1, config=made.setup.document)
    made.journal.append(run)
    made.observed(Interval(again, max(again, made.day.end) + timedelta(hours=1)))
    made.facts += system_load(made, 60_000.0, range(24))
    made.journal.append(Seen(at=max(again, made.day.end) + timedelta(hours=2), facts=tuple(made.facts)))
    return made


@pytest.mark.parametrize(("stops", "goes_on"), [(15.0, 18.0), (16.0, 17.0), (15.0, 30.0)])
def test_a_peak_in_hours_that_nobody_ran_is_an_unknown_charge(tmp_path: Path, stops: float, goes_on: float) -> None:
    """The system's peak is from 16:00 to 17:00, and no process ran the site then: what it drew is not known, and not zero."""
    day = interrupted(tmp_path, stops, goes_on).settle()
    assert day["totals"][CHARGE] is None and day["partial"]
    (row,) = [row for row in day["lines"] if f"{row['obligation']}/{row['charge_type']}" == CHARGE]
    assert row["amount_usd"] is None and row["interval_start"] == "2026-08-20T21:00:00+00:00" and "the site's load" in row["source"]
    assert any(f["kind"] == "unknown-charge" and CHARGE in f["text"] for f in day["findings"])
    assert any("meter import" in text for text in day["narrative"]["actions"])


@pytest.mark.parametrize(("stops", "goes_on"), [(10.0, 12.0), (18.0, 30.0)])
def test_a_peak_in_hours_that_were_run_is_charged_on_a_day_with_a_gap(tmp_path: Path, stops: float, goes_on: float) -> None:
    day = interrupted(tmp_path, stops, goes_on).settle()
    assert not day["unknown"] and Decimal(day["totals"][CHARGE] or 0) < 0
    assert len(day["intervals"]) < 96


def test_a_peak_beside_a_price_that_is_not_known_is_an_unknown_charge(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path, AUGUST, extra=FOUR_CP)
    made.prices(lambda n: None if n == 65 else 30.0)
    made.run_all()
    day = settled(made, *system_load(made, 60_000.0, range(24)))
    assert day["totals"][CHARGE] is None and Decimal(day["unknown"][0]["known_usd"]) < 0, "three quarters of the hour are known"
    winter = HandMadeDay.of(tmp_path / "winter", DECEMBER, extra=FOUR_CP)
    winter.prices(lambda n: None if n == 65 else 30.0)
    winter.run_all()
    assert not settled(winter, *system_load(winter, 60_000.0, range(24)))["unknown"], "December is not counted"


def test_the_hours_before_the_first_run_owe_nothing(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path, AUGUST, extra=FOUR_CP, runs=False)
    made.prices(lambda n: 30.0)
    made.run_all()
    first = made.day.start + timedelta(hours=20)
    run = RunStarted(at=first, world="live", version="t", config_hash=made.setup.hash_id, token=1, config=made.setup.document)
    made.journal.append(run)
    made.observed(Interval(first, made.day.end))
    made.journal.append(Seen(at=made.day.end + timedelta(hours=1), facts=(*made.facts, *system_load(made, 60_000.0, range(24)))))
    assert not made.settle()["unknown"]


def test_a_day_that_stays_unknown_is_settled_again_only_when_an_input_of_it_changes(tmp_path: Path) -> None:
    """Every night settled again every day of the month with an unknown charge."""
    unread = run_day(tmp_path / "unread", AUGUST, FOUR_CP)
    following = OperatingDay(Market.ERCOT, AUGUST + timedelta(days=1))
    assert settled(unread)["unknown"] and days_with_superseded_peaks(unread.engine, unread.setup, following) == []
    late = tuple(system_load(unread, 60_000.0, range(24)))
    unread.journal.append(Seen(at=following.start + timedelta(hours=2), facts=late))
    assert days_with_superseded_peaks(unread.engine, unread.setup, following) == [unread.day]
    assert not unread.settle()["unknown"] and days_with_superseded_peaks(unread.engine, unread.setup, following) == []

    stopped = interrupted(tmp_path / "stopped", 15.0, 18.0)
    assert stopped.settle()["unknown"] and days_with_superseded_peaks(stopped.engine, stopped.setup, following) == []
    over = following.grid(60).intervals[16]
    higher = SystemLoad(source="hand", known_at=over.end, over=over, load_mw=90_000.0)
    stopped.journal.append(Seen(at=over.end + timedelta(minutes=2), facts=(higher,)))
    assert days_with_superseded_peaks(stopped.engine, stopped.setup, following) == [stopped.day]
    assert not stopped.settle()["unknown"]
