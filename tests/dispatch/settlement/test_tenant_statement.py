"""A tenant's own statement holds its groups, its hosting lines and its uptime, and nothing of the site or of another tenant."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from decimal import Decimal as D
from pathlib import Path

import pytest

from dispatch.reports.write import write_day, write_month
from dispatch.settlement.month import add_up
from dispatch.settlement.tenant_statement import tenant_statement
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)
GROUP = """
[[groups]]
name = "{name}"
hall = "h"
model = "{model}"
rigs = {rigs}
tenant = "{tenant}"
modes = [{{ name = "sleep", watts = 0, ths = 0 }}, {{ name = "normal", watts = 4000, ths = 200 }}]
[[obligations]]
type = "hosting"
name = "hosting-{tenant}"
scope = {{ tenant = "{tenant}" }}
usd_per_mwh = {fee}
uptime = 0.95
credit_usd_per_mwh = 50.0
"""


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[HandMadeDay, dict]:
    extra = "".join(
        GROUP.format(name=name, model=f"hand-made-{name}", rigs=rigs, tenant=tenant, fee=fee)
        for name, rigs, tenant, fee in (("x", 20, "acme", 70.0), ("y", 30, "rival", 81.5))
    )
    made = HandMadeDay.of(tmp_path_factory.mktemp("day"), ON, extra=extra)
    made.prices(lambda n: 20.0 + n)
    made.run_all()
    for hour in range(25):
        at = made.day.start.replace() + hour * (made.grid.intervals[4].start - made.grid.intervals[0].start)
        for name, rigs in (("x", 20), ("y", 30)):
            made.read(at, name, range(rigs), [4000.0] * rigs, [200.0] * rigs)
    made.seen()
    return made, made.settle()


def test_a_tenant_sees_its_own_groups_lines_and_uptime(day: tuple[HandMadeDay, dict]) -> None:
    made, document = day
    own = tenant_statement(document, made.setup, "acme")
    # 0.08 MW for 24 hours at 70 $/MWh
    assert D(own["totals"]["hosting-acme/hosting_fee"]) == D("134.40") and D(own["energy_mwh"]) == D("1.92")
    assert {line["obligation"] for line in own["lines"]} == {"hosting-acme"}
    assert D(own["net_usd"]) == sum(map(D, own["totals"].values())) == sum(D(row["amount_usd"]) for row in own["charges"])
    assert [row["group"] for row in own["groups"]] == ["x"]
    assert {name for row in own["intervals"] for name in row["groups_mw"]} == {"x"}
    assert {row["load_mw"] for row in own["intervals"]} == {"0.08"}
    assert own["contract_progress"] and all(f["name"].startswith("hosting-acme:") for f in own["contract_progress"])


def test_nothing_of_the_site_or_of_another_tenant_is_told(day: tuple[HandMadeDay, dict], tmp_path: Path) -> None:
    made, document = day
    own = tenant_statement(document, made.setup, "acme")
    files = {f.suffix[1:]: f for f in write_day(own, tmp_path)} | {
        f"month {f.suffix[1:]}": f for f in write_month(add_up([own], ON, ON), tmp_path / "month")
    }
    assert {f.stem for f in files.values()} == {"settlement-v1-tenant-acme", "settlement-tenant-acme"}
    for kind in ("json", "html", "csv", "month json", "month html", "month csv"):
        text = files[kind].read_text("utf-8")
        assert "hosting-acme" in text or "hosting-acme" in json.dumps(text)
        for secret in ("rival", "81.5", "hashing/", "power/", document["net_usd"], document["net_exact_usd"], "Planned", "perfect"):
            assert secret not in text, (kind, secret)


def test_a_name_that_no_rig_has_is_refused(day: tuple[HandMadeDay, dict]) -> None:
    made, document = day
    with pytest.raises(LookupError, match="no rig group belongs to tenant 'acm'; tenants of the site: acme, own, rival"):
        tenant_statement(document, made.setup, "acm")


def test_the_command_writes_the_tenants_statement(day: tuple[HandMadeDay, dict]) -> None:
    made, _ = day

    def settled(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dispatch.cli", "settle", *words, "--data", str(made.folder), "--format", "json"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    answer = settled(ON.isoformat(), "--tenant", "acme", "--json")
    document = json.loads(answer.stdout)
    assert answer.returncode == 0 and document["tenant"] == "acme"
    assert {line["obligation"] for line in document["lines"]} == {"hosting-acme"}
    assert (made.folder / "settlements" / ON.isoformat() / "settlement-v1-tenant-acme.json").is_file()
    refused = settled(ON.isoformat(), "--tenant", "nobody")
    assert refused.returncode == 2 and "no rig group belongs to tenant 'nobody'" in refused.stderr
    month = json.loads(settled("2026-07", "--tenant", "acme", "--json").stdout)
    assert (month["tenant"], month["net_usd"]) == ("acme", document["net_usd"])
