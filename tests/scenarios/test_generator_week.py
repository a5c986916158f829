"""A generator at an oil field with a small grid connection, through Winter Storm Uri: the limit holds, the net load is billed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.scenarios.archives import archive_of
from tests.scenarios.weeks import A_DAY_OR_A_WEEK, DAY_AHEAD, FEBRUARY, checked_site_file, lines_of, make_plan, replay_statements

LOSSES, ADDERS, FUEL, HEAT_RATE, NO_LOAD, MAINTENANCE = (Decimal(v) for v in ("1.0178", "8.40", "1.20", "9.4", "2.5", "9.00"))
QUARTER = Decimal("0.25")


@pytest.mark.parametrize("days", A_DAY_OR_A_WEEK)
def test_generator_runs_when_grid_power_is_dear_and_net_load_is_billed(tmp_path: Path, days: int) -> None:
    archive, config = archive_of(tmp_path, FEBRUARY, DAY_AHEAD), checked_site_file("gas-site.toml")
    plan = make_plan(config, archive, "2021-02-14T18:05:00Z")
    assert any(r.startswith("genset makes ") and "another MWh of it costs $20.28" in r for r in plan["reasons"])
    assert any(r.startswith("one maker's firmware can drop at once: ") and r.endswith("3.1 MW allowed each") for r in plan["reasons"])
    for interval in plan["intervals"]:
        made = interval["generation"]["genset"]["mw"]
        assert made == 0 or 1.8 - 1e-6 <= made <= 4.5 + 1e-6
        assert -1e-6 <= interval["load_mw"] - made <= 1.5 + 1e-6
        assert max(g["load_mw"] for g in interval["groups"].values()) <= 3.1 + 1e-6
    for bill in replay_statements(tmp_path, config, archive, "2021-02-14T06:00:00+00:00", days):
        ran = 0
        energy, fuel = lines_of(bill, "power", "energy"), lines_of(bill, "genset", "fuel")
        adders, kept = lines_of(bill, "power", "adders"), lines_of(bill, "genset", "maintenance")
        for row in bill["intervals"]:
            at, load_mwh, price = row["start"], Decimal(row["energy_mwh"]), Decimal(row["price_usd_per_mwh"]["LZ_WEST_EW"])
            made = Decimal(kept[at]["quantity"]) if at in kept else Decimal(0)
            net = Decimal(energy[at]["quantity"]) / LOSSES if at in energy else Decimal(0)
            assert abs(load_mwh - made - net) < Decimal("1e-5"), "net is what is drawn less what is made"
            assert -0.001 <= net / QUARTER <= Decimal("1.55"), (at, net)
            if at in energy:
                assert Decimal(energy[at]["amount_usd"]) == -Decimal(energy[at]["quantity"]) * price
                assert Decimal(adders[at]["amount_usd"]) == -Decimal(energy[at]["quantity"]) * ADDERS
            if made:
                ran += 1
                assert abs(Decimal(fuel[at]["amount_usd"]) + FUEL * (HEAT_RATE * made + NO_LOAD * QUARTER)) < Decimal("1e-6")
                assert Decimal(kept[at]["amount_usd"]) == -MAINTENANCE * made
            assert max(float(mw) for mw in row["groups_mw"].values()) <= 3.1 * 1.03
        assert any("not metered" in note for note in bill["notes"])
        if bill["date"] == "2021-02-14":
            assert ran == 96 and float(bill["net_usd"]) > 5000.0, "energy at 600 to 9,000 $/MWh, gas at 20"
            assert float(bill["totals"]["power/energy"]) > -100.0
