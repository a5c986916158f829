"""A day's bill under services: reserve at the prices that were published, an emergency of the day before that counts in the term."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal as D
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from dispatch.reports.write import as_html, as_pdf, as_xlsx
from dispatch.settlement.contract_memory import prior_period
from dispatch.settlement.month import add_up
from dispatch.settlement.prices import reserve_prices
from dispatch.store.rollups import Rollup, write_rollups
from markets.facts import Award, Call, CallKind, ReservePrice
from markets.grid import Grid, Interval
from optimizer.domain.money import decimal
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 8, 20)
RESERVE = """
[[obligations]]
type = "ancillary"
products = ["ECRS"]
"""
EMERGENCY = """
[[obligations]]
type = "ers"
product = "ERS-10"
mw = 0.1
usd_per_mw_hour = 10.0
periods = [{ name = "always", months = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], hours = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
  14, 15, 16, 17, 18, 19, 20, 21, 22, 23] }]
"""


def award(over: Interval, mw: float, usd: float, market: str) -> Award:
    return Award(source="qse", known_at=over.start, obligation="ancillary", product="ECRS", market=market, over=over, mw=mw,
                 mcpc_usd_per_mw_h=usd)  # fmt: skip


def test_reserve_settles_at_the_newest_price_that_was_published(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path / "reserve", ON, extra=RESERVE)
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    for n, over in enumerate(site_day.grid.intervals[:-1]):
        for k, usd in enumerate((40.0, 8.0) if n == 5 else (4.0,)):
            known = over.end + timedelta(minutes=2 + k)
            site_day.facts.append(
                ReservePrice(source="hand", known_at=known, product="ECRS", market="REAL_TIME_15_MIN", over=over, usd_per_mw_h=usd)
            )
    hour = Interval(site_day.grid.intervals[4].start, site_day.grid.intervals[7].end)
    site_day.facts += [award(hour, 0.02, 12.0, "DAM"), award(site_day.grid.intervals[5], 0.04, 8.0, "RT")]
    site_day.seen()
    found = reserve_prices(site_day.engine, "ECRS", site_day.grid, None)
    assert found.values[5] == D("8.0") and found.values[4] == D("4.0") and found.values[-1].is_nan()
    assert reserve_prices(site_day.engine, "ECRS", site_day.grid, site_day.grid.intervals[5].end + timedelta(minutes=2)).values[5] == D(
        "40.0"
    )
    bill = site_day.settle()
    reserve = [(line["charge_type"], line["amount_usd"]) for line in bill["lines"] if line["obligation"] == "ancillary"]
    assert reserve == [("ecrs_day_ahead", "0.06")] * 4 + [("ecrs_imbalance", "0.04")]
    ahead = bill["counterfactuals"]["perfect_foresight"]["lines"]
    assert D(ahead["ancillary/ecrs_imbalance"]) > D("4.0"), "with the day's prices known reserve is carried all day: 0.046 MW x 4 $ x 24 h"


def deployed(start: datetime) -> Call:
    header = {"source": "qse", "known_at": start, "id": "eea", "version": 1, "obligation": "ers", "kind": CallKind.DEPLOY}
    return Call(**header, notice_at=start, start_at=start, end_at=start + timedelta(hours=1), mw_cap=0.0)


@pytest.mark.parametrize("seen", [True, False])
def test_an_emergency_of_the_day_before_counts_in_the_terms_bill(tmp_path: Path, seen: bool) -> None:
    """0.1 MW all day but for an hour under orders: with the call known an event, without it hours that were not there."""
    site_day = HandMadeDay.of(tmp_path / "ers", ON, extra=EMERGENCY)
    before = Grid.regular(site_day.day.start - timedelta(hours=29), site_day.day.start, 15)
    start = before.intervals[40].start
    rows = [Rollup("a", over, decimal(0.0 if 40 <= n < 44 else 0.025), decimal(0), 1, 0.0) for n, over in enumerate(before.intervals)]
    write_rollups(site_day.engine, [*rows, *(Rollup("b", r.over, decimal(0), decimal(0), 1, 0.0) for r in rows)])
    site_day.ran_before(2)
    if seen:
        site_day.seen(start, deployed(start))
    memory = prior_period(site_day.engine, site_day.telemetry, site_day.setup, site_day.grid, None).memory["ers"]
    assert memory.gross_usd == pytest.approx(29.0)
    assert memory.deployed_h == pytest.approx(50 / 60 if seen else 0.0)
    assert memory.event_weight == pytest.approx(50 / 15 if seen else 0.0)
    assert memory.event_done == pytest.approx(memory.event_weight)
    assert (memory.obligated_h, memory.available_h) == ((18.0, 18.0) if seen else (29.0, 28.0)), "ten hours after the recall count again"
    site_day.prices(lambda n: 30.0)
    site_day.run_all(watts_a=10_000.0)
    site_day.seen()
    document = site_day.settle()
    so_far = {f["name"]: f for f in document["contract_progress"]}
    assert float(so_far["ers: deployed"]["value"]) == pytest.approx(50 / 60 if seen else 0.0, abs=1e-4)
    assert "of at most 12 h since 1 June 2026" in so_far["ers: deployed"]["how"]
    share = so_far["ers: availability so far"]
    assert float(share["value"]) == pytest.approx(100.0 if seen else 100 * 52 / 53, abs=1e-3), "the day before and this one"
    assert ("ers: performance so far" in so_far) is seen and float(so_far["ers: failed tests in a row"]["value"]) == 0
    assert add_up([document], ON, ON)["figures"][-len(so_far) :] == document["contract_progress"]
    page, paper = as_html(document), "".join(p.extract_text() for p in PdfReader(BytesIO(as_pdf(document))).pages)
    for text in ("Contract progress", "ers: deployed", share["value"]):
        assert text in page and text in paper
    sheet = load_workbook(BytesIO(as_xlsx(document)))["Contract progress"]
    assert ("ers: availability so far", float(share["value"]), "%", share["how"]) in list(sheet.values)
    assert "Contract progress" not in as_html({**document, "contract_progress": []})
    late = prior_period(site_day.engine, site_day.telemetry, site_day.setup, site_day.grid, start - timedelta(hours=1)).memory["ers"]
    assert late.deployed_h == 0.0, "what was not known then does not count then"


def test_a_reduction_is_judged_from_the_load_at_its_notice(tmp_path: Path) -> None:
    """The load stays as it was at the notice, so that all of the reduction is missed."""
    site_day = HandMadeDay.of(tmp_path / "reduction", ON)
    start = site_day.grid.intervals[40].start
    header = {"source": "qse", "known_at": start, "id": "less", "version": 1, "obligation": "power", "kind": CallKind.DEPLOY}
    site_day.facts.append(Call(**header, notice_at=start, start_at=start, end_at=start + timedelta(hours=1), mw_delta=-0.02))
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    site_day.seen()
    (promise,) = [p for p in site_day.settle()["promises"] if p["obligation"] == "power"]
    assert not promise["kept"] and float(promise["broken"][0]["mw"]) == pytest.approx(0.02, abs=1e-3)


def test_a_cap_above_what_the_rigs_draw_is_a_finding_and_asks_for_its_meaning(tmp_path: Path) -> None:
    """4,000 where the site draws 0.26 MW: somebody wrote kW, and nothing went down."""
    site_day = HandMadeDay.of(tmp_path / "cap", ON)
    start = site_day.grid.intervals[40].start
    header = {"source": "qse", "known_at": start, "id": "kw", "version": 1, "obligation": "power", "kind": CallKind.DEPLOY}
    site_day.facts.append(Call(**header, notice_at=start, start_at=start, end_at=start + timedelta(hours=1), mw_cap=4000.0))
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    site_day.seen()
    bill = site_day.settle()
    (text,) = [f["text"] for f in bill["findings"] if f["kind"] == "call-asks-nothing"]
    assert text.startswith("call kw of qse: at most 4000 MW asks for no reduction: the rigs of 'power' can draw ")
    assert any("which figure was meant" in action for action in bill["narrative"]["actions"])


INTERRUPTIBLE = """
[[obligations]]
type = "ancillary"
kind = "nclr"
products = ["ECRS"]
block = { min_mw = 0.01 }
"""


@pytest.mark.parametrize("metered", [True, False])
def test_an_instruction_told_the_day_before_is_judged_from_the_load_then(tmp_path: Path, metered: bool) -> None:
    """Told at 23:50 for 02:00 to 04:00, and nothing is dropped: a shortfall, a strike, and something to do."""
    site_day = HandMadeDay.of(tmp_path / "late", ON, extra=INTERRUPTIBLE)
    notice, start = site_day.day.start - timedelta(minutes=10), site_day.day.start + timedelta(hours=2)
    header = {"source": "qse", "known_at": notice, "id": "late", "version": 1, "obligation": "ancillary", "kind": CallKind.DEPLOY}
    told = Call(**header, notice_at=notice, start_at=start, end_at=start + timedelta(hours=2), mw_delta=-0.02)
    if metered:
        before = Interval(site_day.day.start - timedelta(minutes=30), site_day.day.start - timedelta(minutes=15))
        write_rollups(
            site_day.engine,
            [Rollup(group, before, mwh, decimal(0), 1, 0.0) for group, mwh in (("a", decimal(0.0075)), ("b", decimal(0.0042)))],
        )
    site_day.facts.append(told)
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    site_day.seen()
    document = site_day.settle()
    (promise,) = [p for p in document["promises"] if p["obligation"] == "ancillary"]
    kinds = [f["kind"] for f in document["findings"]]
    assert promise["kept"] is not metered and ("call-not-kept" in kinds) is metered
    assert ("call-not-judged" in kinds) is not metered
    assert "strike" in kinds, "judged by the interval before its start"
    assert any("Find out why the instruction was not followed" in text for text in document["narrative"]["actions"])
