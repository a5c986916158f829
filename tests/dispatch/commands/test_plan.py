"""`plan` as people read it: the model written, other solvers asked, and what nobody has verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dispatch.commands.plan import plan, what_if
from dispatch.site_file.defaults import DEMO_SITE, default_file

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
