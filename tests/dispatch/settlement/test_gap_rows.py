"""Intervals without a price stand apart: no contract is billed for them, and the statement says what is left out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from dispatch.reports.labels import flags, month_flags
from dispatch.settlement.month import add_up
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)
BOOK = """
[[obligations]]
type = "block"
mw = 0.1
usd_per_mwh = 30.0

[[obligations]]
type = "transmission"
method = "ncp"
usd_per_kw_year = 120.0
contract_mw = 1.0
"""
# Each MWh of the load brings 45 $ x 0.99 of each PH/s-day: 2.05 PH/s at 46.5 kW.
PH_DAYS_OF_A_QUARTER = Decimal("2.05") / 96


def test_no_contract_is_billed_for_an_interval_without_a_price(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path / "gaps", ON, extra=BOOK)
    made.prices(lambda n: None if n < 2 or 40 <= n < 48 else 25.0)
    made.run_all()
    made.seen()
    bill = made.settle()
    covered = 86
    assert {line["interval_start"] for line in bill["lines"]} == {
        over.start.isoformat() for n, over in enumerate(made.grid.intervals) if not (n < 2 or 40 <= n < 48)
    }
    assert Decimal(bill["totals"]["block/block_cost"]) == -Decimal("0.1") * covered / 4 * 30
    assert Decimal(bill["totals"]["transmission/demand"]) == -10_000, "the least demand is owed whichever interval is billed first"
    assert abs(Decimal(bill["totals"]["hashing/hash_revenue"]) - covered * PH_DAYS_OF_A_QUARTER * 45) < Decimal("0.01")
    gaps = bill["gaps"]
    assert (gaps["intervals"], gaps["first"]) == (10, made.day.start.isoformat())
    assert Decimal(gaps["energy_mwh"]) == Decimal("0.0465") * 10 / 4
    assert abs(Decimal(gaps["hash_ph_days"]) - 10 * PH_DAYS_OF_A_QUARTER) < Decimal("1e-9")
    assert gaps["hash_revenue_usd"] == "9.51"
    assert bill["net_covers"].startswith("The net covers 86 of 96 intervals of the day: 10 have no price or no reading")
    assert [flag for flag in flags(bill) if flag.startswith("GAPS")] and bill["net_covers"] in bill["notes"]
    month = add_up([bill], ON, ON)
    assert month["gaps"] == gaps and [flag for flag in month_flags(month) if flag.startswith("GAPS: 10 intervals")]


def test_a_price_that_comes_later_fills_its_gap(tmp_path: Path) -> None:
    made = HandMadeDay.of(tmp_path / "filled", ON, extra=BOOK)
    made.prices(lambda n: None if n == 50 else 25.0)
    made.run_all()
    made.seen()
    first = made.settle()
    assert first["gaps"]["intervals"] == 1 and not first["partial"]
    late = made.day.end.replace(hour=12)
    made.seen(late, made.price(made.grid.intervals[50], 25.0, known_at=late))
    second = made.settle()
    assert second["version"] == 2 and second["gaps"] == {
        "intervals": 0, "first": None, "energy_mwh": "0", "hash_ph_days": "0", "hash_revenue_usd": "0.00",
    }  # fmt: skip
    assert second["net_covers"] == "The net covers 96 of 96 intervals of the day."
