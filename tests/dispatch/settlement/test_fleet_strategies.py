"""A day under other strategies on simulated rigs: the figures without physics stand beside, and both gaps add up."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from dispatch.commands.strategies import strategies
from tests.dispatch.settlement.fixtures import HandMadeDay

DEMAND = """
[[obligations]]
type = "transmission"
name = "demand"
method = "ncp"
usd_per_kw_year = 120.0
"""


def compared(folder: Path, capsys: Any, extra: str = "") -> dict[str, Any]:
    """A day of 20 $/MWh with one dear hour, in which the site ran everything, as the command compares it."""
    site_day = HandMadeDay.of(folder, date(2026, 7, 8), extra=extra)
    site_day.prices(lambda n: 200.0 if 48 <= n < 52 else 20.0)
    site_day.planned(site_day.day.start - timedelta(hours=1), {"a": 0.03, "b": 0.0165}, {"a": 1.5, "b": 0.55}, 30.0)
    site_day.run_all()
    site_day.seen()
    site_day.telemetry.flush()
    capsys.readouterr()
    strategies("2026-07-08", folder, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**found, "billed_usd": site_day.settle()["net_usd"]}


def test_each_strategy_is_run_on_simulated_rigs_with_its_ideal_figure_beside(tmp_path: Path, capsys: Any) -> None:
    found = compared(tmp_path, capsys)
    real, ideal = ({n: Decimal(v["net_usd"]) for n, v in found[key].items()} for key in ("strategies", "ideal_strategies"))
    assert set(real) == set(ideal) == {"always_on", "one_strike", "model_strike", "perfect_foresight"}
    assert real["perfect_foresight"] >= max(real["always_on"], real["model_strike"], real["one_strike"])
    assert abs(real["always_on"] - ideal["always_on"]) < Decimal("0.50"), "rigs differ a little from their model"
    assert real["always_on"] < real["model_strike"] < real["perfect_foresight"], "a bot learns of the dear hour after a quarter of it"
    assert found["strategies"]["always_on"]["starts"] == 0 and found["strategies"]["model_strike"]["starts"] == 15


def test_both_gaps_to_perfect_foresight_add_up(tmp_path: Path, capsys: Any) -> None:
    found = compared(tmp_path, capsys)
    for gap, values in (("foresight_gap", "strategies"), ("ideal_foresight_gap", "ideal_strategies")):
        best, causes = Decimal(found[values]["perfect_foresight"]["net_usd"]), [Decimal(r["exact_usd"]) for r in found[gap]]
        assert len(causes) == 5
        assert abs(best + sum(causes) - Decimal(found["net_usd"])) <= Decimal("0.02")


def test_beside_a_demand_charge_of_the_month_the_day_earned_what_its_bill_says(tmp_path: Path, capsys: Any) -> None:
    found = compared(tmp_path, capsys, DEMAND)
    earned = Decimal(found["net_usd"])
    assert earned == Decimal(found["billed_usd"]) < -100
    assert abs(Decimal(found["strategies"]["always_on"]["net_usd"]) - earned) < 3, "the site ran all day"
    for gap, values in (("foresight_gap", "strategies"), ("ideal_foresight_gap", "ideal_strategies")):
        best, causes = Decimal(found[values]["perfect_foresight"]["net_usd"]), [Decimal(r["exact_usd"]) for r in found[gap]]
        assert abs(best + sum(causes) - earned) <= Decimal("0.02")
