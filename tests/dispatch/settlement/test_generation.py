"""What a plant behind the meter made, as it is kept in the ledger for the bills of other days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from dispatch.store.rollups import read_rollups
from markets.facts import MeasuredGeneration
from tests.dispatch.settlement.fixtures import HandMadeDay

SOLAR = """
[[obligations]]
type = "renewable"
name = "solar"
mw = 0.02
usd_per_mwh = 14.0
"""


def test_a_bill_of_what_was_known_earlier_does_not_take_back_a_correction(tmp_path: Path) -> None:
    """Measured as 12 kW, a day later corrected to 8 kW; then the day is settled again as of the evening."""
    site_day = HandMadeDay.of(tmp_path, date(2026, 8, 20), extra=SOLAR)
    site_day.prices(lambda n: 30.0)
    site_day.run_all()

    def measured(mw: float, after: timedelta) -> list[MeasuredGeneration]:
        intervals = site_day.grid.intervals
        return [MeasuredGeneration(source="test", known_at=o.end + after, plant="solar", over=o, mw=mw) for o in intervals]

    def kept_mwh() -> Decimal:
        return sum((r.energy_mwh for r in read_rollups(site_day.engine, site_day.day.over, 15, ["solar"])), Decimal(0))

    site_day.facts += measured(0.012, timedelta(minutes=1))
    site_day.seen()
    site_day.settle()
    assert kept_mwh() == Decimal("0.288")
    site_day.seen(site_day.day.end + timedelta(days=1), *measured(0.008, timedelta(hours=25)))
    corrected = site_day.settle()
    assert kept_mwh() == Decimal("0.192") and corrected["version"] == 2
    earlier = site_day.settle(known_at=site_day.day.end + timedelta(hours=1))
    assert earlier["net_usd"] != corrected["net_usd"] and kept_mwh() == Decimal("0.192")
