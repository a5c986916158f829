"""A hosting provider with three tenants in the winter of 2021: each is billed by its own agreement, and stops at its own price."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.archives import archive_of
from tests.scenarios.weeks import A_DAY_OR_A_WEEK, DAY_AHEAD, FEBRUARY, checked_site_file, lines_of, make_plan, replay_statements

LOSSES = Decimal("1.0178")
GROUPS = {"alder": "alder-s21pro", "birch": "birch-m60s", "cedar": "cedar-a1566"}
FEES = {"alder": Decimal("14.00"), "birch": Decimal("72.00"), "cedar": Decimal("25.00")}
PROMISED_MW = {
    "alder": Decimal("14.04") * Decimal("0.95"),
    "birch": Decimal(12) * Decimal("0.93"),
    "cedar": Decimal("8.55") * Decimal("0.80"),
}
CREDITS = {"alder": 20, "birch": 60, "cedar": 15}
STRIKE = Decimal("92.00")


@pytest.mark.parametrize("days", A_DAY_OR_A_WEEK)
def test_each_tenant_runs_and_pays_by_its_own_contract(tmp_path: Path, days: int) -> None:
    archive, config = archive_of(tmp_path, FEBRUARY, DAY_AHEAD), checked_site_file("hosting-site.toml")
    plan = make_plan(config, archive, "2021-02-10T09:05:00Z")
    assert plan["breakevens"]["alder-s21pro"] == 92.0, "power is passed through: the tenant's strike alone decides"
    missing = dict.fromkeys(GROUPS, Decimal(0))
    bills = replay_statements(tmp_path, config, archive, "2021-02-10T06:00:00+00:00", days)
    for bill in bills:
        assert not lines_of(bill, "hashing", "hash_revenue"), "the tenants keep what they hash"
        for row in bill["intervals"]:
            price = Decimal(row["price_usd_per_mwh"]["LZ_WEST_EW"])
            for tenant, group in GROUPS.items():
                wanted = tenant != "alder" or price < STRIKE
                mwh = Decimal(row["groups_mw"][group]) / 4
                fee = of_row(bill, tenant, "hosting_fee", row)
                assert abs(fee - (FEES[tenant] * mwh * LOSSES if wanted else 0)) < Decimal("0.001"), (tenant, row["label"])
                passed = of_row(bill, tenant, "power_passed_through", row)
                assert abs(passed - (price * mwh * LOSSES if tenant == "alder" and wanted else 0)) < Decimal("0.03")
                missing[tenant] += PROMISED_MW[tenant] / 4 - mwh if wanted else 0
    for tenant, mwh in missing.items():
        credit = sum(Decimal(bill["totals"].get(f"{tenant}/uptime_credit", "0")) for bill in bills)
        assert abs(credit + CREDITS[tenant] * max(mwh, Decimal(0))) < Decimal("2.00"), (tenant, credit, mwh)


def of_row(bill: dict[str, Any], tenant: str, charge: str, row: dict[str, Any]) -> Decimal:
    line = lines(bill, tenant, charge).get(row["start"])
    return Decimal(line["amount_usd"]) if line else Decimal(0)


def lines(bill: dict[str, Any], tenant: str, charge: str) -> dict[str, Any]:
    kept: dict[tuple[str, str], dict[str, Any]] = bill.setdefault("by_charge", {})
    if (tenant, charge) not in kept:
        kept[(tenant, charge)] = lines_of(bill, tenant, charge)
    return kept[(tenant, charge)]
