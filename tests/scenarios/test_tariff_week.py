"""A site on a utility's rate: the week's energy at the table's prices, the demand charges at its highest half hours."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.scenarios.archives import archive_of
from tests.scenarios.weeks import A_DAY_OR_A_WEEK, HASH, checked_site_file, lines_of, make_plan, replay_statements

TEXAS = ZoneInfo("America/Chicago")


def rate(at: datetime) -> Decimal:
    """The shipped sheet in July, by hand."""
    local = at.astimezone(TEXAS)
    if local.weekday() < 5 and 13 <= local.hour < 19:
        return Decimal("118.40")
    return Decimal("61.20") if 9 <= local.hour < 21 else Decimal("38.70")


@pytest.mark.parametrize("days", A_DAY_OR_A_WEEK)
def test_tariff_energy_and_demand_charges_over_days_of_july(tmp_path: Path, days: int) -> None:
    archive = archive_of(tmp_path, HASH)
    config = tmp_path / "site.toml"
    text = checked_site_file("tariff-site.toml").read_text("utf-8")
    fixed = 'source = "fixed"                      # fixed | archive | mempool (url) | bitcoind (url, cookie)\nusd_per_ph_day = 45.0\n'
    assert fixed in text
    config.write_text(text.replace(fixed, 'source = "archive"\npath = "archive"\n'), "utf-8")
    (tmp_path / "tariff-rate.toml").write_text(
        checked_site_file("tariff-site.toml").with_name("tariff-rate.toml").read_text("utf-8"), "utf-8"
    )
    plan = make_plan(config, archive, "2022-07-11T17:40:00Z")
    by_start = {datetime.fromisoformat(i["start"]): i for i in plan["intervals"]}
    assert all(Decimal(str(i["price_usd_per_mwh"]["LARGE-POWER"])) == rate(at) for at, i in by_start.items())
    bills = replay_statements(tmp_path, config, archive, "2022-07-11T05:00:00+00:00", days)
    highest = {"demand": Decimal(4), "on-peak-demand": Decimal(0)}  # the contract's least is owed in the first bill of the month
    for bill in bills:
        energy = lines_of(bill, "power", "energy")
        rows = bill["intervals"]
        for row in rows:
            assert Decimal(row["price_usd_per_mwh"]["LARGE-POWER"]) == rate(datetime.fromisoformat(row["start"])), row["label"]
            line = energy[row["start"]]
            assert Decimal(line["amount_usd"]) == -Decimal(line["quantity"]) * Decimal(row["price_usd_per_mwh"]["LARGE-POWER"])
        for first, second in zip(rows[::2], rows[1::2], strict=True):
            mw = (Decimal(first["load_mw"]) + Decimal(second["load_mw"])) / 2
            highest["demand"] = max(highest["demand"], mw)
            if rate(datetime.fromisoformat(first["start"])) == Decimal("118.40"):
                highest["on-peak-demand"] = max(highest["on-peak-demand"], mw)
    charged = {name: sum(Decimal(b["totals"].get(f"{name}/demand", "0")) for b in bills) for name in highest}
    assert charged["demand"] == pytest.approx(-highest["demand"] * 4800, abs=Decimal("0.05"))
    assert charged["on-peak-demand"] == pytest.approx(-highest["on-peak-demand"] * 9200, abs=Decimal("0.05"))
