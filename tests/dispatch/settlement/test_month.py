"""A month from its days: it foots with their statements, names what is missing, and says what a MWh and a PH/s-day cost."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from dispatch.reports.write import write_month
from dispatch.settlement.month import add_up
from dispatch.settlement.requested_days import parse_span
from tests.dispatch.settlement.fixtures import HandMadeDay

BLOCK = '[[obligations]]\ntype = "block"\nmw = 0.06\nusd_per_mwh = 32.50\n'
FIRST = date(2026, 7, 1)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """1 and 3 July at 20 and 40 $/MWh; the 2nd was not run. The rigs draw 0.0465 MW under a block of 0.06."""
    out = []
    for n, usd in ((0, 20.0), (2, 40.0)):
        site_day = HandMadeDay.of(tmp_path_factory.mktemp("day"), FIRST + timedelta(days=n), extra=BLOCK)
        site_day.prices(lambda _, usd=usd: usd)
        site_day.run_all()
        site_day.seen()
        out.append(site_day.settle())
    return out


def test_a_month_foots_with_its_days_and_names_the_missing_one(days: list[dict]) -> None:
    month = add_up(days, FIRST, FIRST + timedelta(days=2))
    assert Decimal(month["net_usd"]) == sum(Decimal(d["net_usd"]) for d in days) == sum(Decimal(v) for v in month["totals"].values())
    assert month["missing"] == ["2026-07-02"] and [d["date"] for d in month["days"]] == ["2026-07-01", "2026-07-03"]
    assert {d["version"] for d in month["days"]} == {1}
    gaps = sum(Decimal(v) for v in month["foresight_gap"].values())
    assert abs(Decimal(month["counterfactuals"]["perfect_foresight"]) + gaps - Decimal(month["net_usd"])) < Decimal("0.05")


def test_figures_of_a_month(days: list[dict]) -> None:
    """1.116 MWh and 2.05 PH/s-days a day; the block costs 46.80 a day and returns 0.324 MWh at 20 and at 40; adders 6.15 a MWh."""
    figures = {f["name"]: Decimal(f["value"]) for f in add_up(days, FIRST, FIRST + timedelta(days=2))["figures"]}
    assert figures["energy"] == Decimal("2.2320") and figures["hashing"] == Decimal("4.1")
    cost = 2 * Decimal("46.80") - Decimal("0.324") * 60 + 2 * Decimal("6.86")
    assert abs(figures["all-in cost of energy"] - cost / Decimal("22.32")) < Decimal("0.001")
    assert abs(figures["hash cost"] - cost / Decimal("4.1")) < Decimal("0.01")
    assert figures["fleet efficiency"] == (Decimal("1.116") * 3_600_000_000 / (Decimal("2.05") * 86_400_000)).quantize(Decimal("0.0001"))
    assert figures["block: used"] == Decimal("77.5") and figures["block: power credits"] == Decimal("19.44")


def test_the_files_of_a_month_have_the_same_figures(days: list[dict], tmp_path: Path) -> None:
    month = add_up(days, FIRST, FIRST + timedelta(days=2))
    files = {f.suffix[1:]: f for f in write_month(month, tmp_path)}
    again = {f.suffix[1:]: f.read_bytes() for f in write_month(json.loads(files["json"].read_text()), tmp_path / "again")}
    assert again == {kind: f.read_bytes() for kind, f in files.items()}
    assert {f.parent.name for f in files.values()} == {"2026-07-01_2026-07-03"}
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    assert sum(Decimal(r["amount_usd"]) for r in rows) == Decimal(month["net_usd"]), "its rows are the totals and nothing else"
    paper = PdfReader(files["pdf"]).pages[0].extract_text()
    assert "1 DAY MISSING: 2026-07-02" in paper and "all-in cost of energy" in paper
    assert "2026-07-02 was not settled" in files["html"].read_text()
    assert list(load_workbook(files["xlsx"])["Days"].values)[1][:3] == ("2026-07-01", 1, float(days[0]["net_usd"]))


def test_a_span_is_a_month_or_first_to_last_day() -> None:
    assert parse_span("2026-02") == (date(2026, 2, 1), date(2026, 2, 28))
    assert parse_span("2026-12") == (date(2026, 12, 1), date(2026, 12, 31))
    assert parse_span("2026-06-01..2026-08-31") == (date(2026, 6, 1), date(2026, 8, 31))
    assert parse_span("2026-08-20") is None and parse_span("2026-13") is None
    for wrong in ("2026-02-30..2026-03-01", "2026-03-02..2026-03-01"):
        with pytest.raises(ValueError, match=wrong[:10]):
            parse_span(wrong)
    with pytest.raises(ValueError, match="no day"):
        add_up([], FIRST, FIRST)
