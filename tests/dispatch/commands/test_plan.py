"""`plan` as people read it: the model written, other solvers asked, and what nobody has verified."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from dispatch.commands import Ended
from dispatch.commands.plan import plan, what_if
from dispatch.site_file.defaults import DEMO_SITE, default_file
from tests.dispatch.settlement.fixtures import HandMadeDay

DEMONSTRATION = default_file(DEMO_SITE)


def test_a_plan_prints_the_check_of_other_solvers_and_writes_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.lp"
    plan(config=DEMONSTRATION, at="2026-08-20T18:00:00Z", lp=file, check_=True)
    printed = capsys.readouterr()
    checks = [line for line in printed.out.splitlines() if line.startswith("check: ")]
    assert [line.split()[1] for line in checks] == ["highs", "scipy", "cbc", "plan", "difference"]
    assert checks[-1].endswith("all agree") and str(file) in printed.err and file.stat().st_size > 0


@pytest.mark.parametrize(("contract", "shown"), [("", False), ('\n[[obligations]]\ntype = "transmission"\nmethod = "4cp"\n', True)])
def test_a_plan_lists_the_unverified_figures_of_its_contracts(
    contract: str, shown: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(DEMONSTRATION.read_text("utf-8") + contract + ("usd_per_kw_year = 70.0\n" if contract else ""), "utf-8")
    plan(config=site, at="2026-08-20T18:00:00Z")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("unverified: ercot.transmission.4cp.interval_min: ") for line in lines) is shown


def test_a_sweep_is_printed_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text("{}", "utf-8")
    what_if(scenario, DEMONSTRATION, at="2026-08-20T18:00:00Z", sweep=["hash.scale=0.5:1:2"])
    head, half, full = capsys.readouterr().out.splitlines()
    assert head.split() == ["hash.scale", "net", "difference", "MWh", "shortfalls"]
    assert half.split()[0] == "0.5" and half.split()[2].startswith("-$")
    assert full.split()[0] == "1" and full.split()[2] == "+$0.00"


DEMAND_CHARGE = """
[[obligations]]
type = "transmission"
name = "demand"
method = "{method}"
usd_per_kw_year = 180.0
"""


@pytest.mark.parametrize("method", ["ncp", "mbd"])
@pytest.mark.parametrize("day", ["03", "17", "31"])
def test_a_smaller_interconnect_never_earns_more_beside_a_demand_charge(
    method: str, day: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan weighed a part of the month's charge and the what-if counted it whole, so that less room earned more."""
    site, scenario = tmp_path / "site.toml", tmp_path / "scenario.json"
    site.write_text(DEMONSTRATION.read_text("utf-8") + DEMAND_CHARGE.format(method=method), "utf-8")
    for mw in (0.3, 0.6, 0.9):
        scenario.write_text(json.dumps({"site": {"interconnect_mw": mw}}), "utf-8")
        what_if(scenario, site, at=f"2026-08-{day}T07:00:00Z", as_json=True)
        answer = json.loads(capsys.readouterr().out)
        assert answer["difference"]["net_usd"] <= 0.05, (mw, answer["difference"])
        for side in ("base", "case"):
            lines = answer[side]["lines"]
            assert sum(lines.values()) == pytest.approx(answer[side]["objective_usd"], abs=1e-4)
            owed = next(name for name in lines if name in ("demand/demand", "demand/minimum_demand"))
            assert lines[owed] < -1.0 and 0 < lines[f"{owed}_carried"] < -lines[owed], "owed now, and what later hours carry of it"


@pytest.mark.parametrize("remembers", [True, False])
def test_a_plan_with_the_data_of_a_run_knows_the_months_peak_so_far(
    remembers: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the command line the month began at the plan: a peak that was long paid for was charged again."""
    ran = HandMadeDay.of(tmp_path / "ran", date(2026, 7, 1), extra=DEMAND_CHARGE.format(method="ncp"), prices="synthetic")
    ran.prices(lambda n: 20.0)
    ran.run_all()
    ran.seen()
    ran.telemetry.flush()
    site, at, data = tmp_path / "ran" / "site.toml", "2026-07-03T07:00:00Z", ran.folder if remembers else None
    plan(site, at=at, data=data, as_json=True)
    lines = json.loads(capsys.readouterr().out)["lines"]
    assert (lines.get("demand/demand", 0.0) < -1.0) is not remembers, lines
    (scenario := tmp_path / "scenario.json").write_text("{}", "utf-8")
    what_if(scenario, site, at=at, data=data, as_json=True)
    assert (json.loads(capsys.readouterr().out)["base"]["lines"].get("demand/demand", 0.0) < -1.0) is not remembers


def test_a_data_folder_without_a_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Ended, match="there is no ledger here"):
        plan(DEMONSTRATION, data=tmp_path)
