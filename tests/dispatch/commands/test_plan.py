"""`plan` as people read it: the model written, other solvers asked, and what nobody has verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch.commands.plan import plan, what_if
from dispatch.site_file.defaults import DEMO_SITE, default_file

DEMONSTRATION = default_file(DEMO_SITE)


def test_a_plan_tells_people_what_other_solvers_found_and_where_the_model_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "model.lp"
    plan(config=DEMONSTRATION, at="2026-08-20T18:00:00Z", lp=file, check_=True)
    said = capsys.readouterr()
    told = [line for line in said.out.splitlines() if line.startswith("check: ")]
    assert [line.split()[1] for line in told] == ["highs", "scipy", "cbc", "plan", "gap"]
    assert told[-1].endswith("all agree") and str(file) in said.err and file.stat().st_size > 0


@pytest.mark.parametrize(("contract", "shown"), [("", False), ('\n[[obligations]]\ntype = "transmission"\nmethod = "4cp"\n', True)])
def test_a_plan_names_the_unverified_figures_of_the_contracts_it_stands_on(
    contract: str, shown: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(DEMONSTRATION.read_text("utf-8") + contract + ("usd_per_kw_year = 70.0\n" if contract else ""), "utf-8")
    plan(config=site, at="2026-08-20T18:00:00Z")
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("unverified: ercot.transmission.4cp.interval_min: ") for line in lines) is shown


def test_a_sweep_is_a_table_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text("{}", "utf-8")
    what_if(scenario, DEMONSTRATION, at="2026-08-20T18:00:00Z", sweep=["hash.scale=0.5:1:2"])
    head, half, whole = capsys.readouterr().out.splitlines()
    assert head.split() == ["hash.scale", "net", "$", "difference", "$", "MWh", "shortfalls", "$"]
    assert half.split()[0] == "0.5" and float(half.split()[2].replace(",", "")) < 0
    assert whole.split()[0] == "1" and whole.split()[2] == "+0.00"
