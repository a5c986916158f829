"""What the command line can do with a plan made outside the control loop: weigh price scenarios, write the model to a file, solve it with
other solvers, and list the market rules that nobody has verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.decide.price_risk import risk_of_facts
from dispatch.runtime.gathered_inputs import GatheredInputs
from markets.grid import OperatingDay
from optimizer.lp.program import Program
from optimizer.planning.plan import program_of
from optimizer.planning.result import Risk
from optimizer.solve import check, write_model

MODEL_SUFFIXES = (".lp", ".mps")


def scenario_risk(gathered: GatheredInputs, weight: float) -> Risk:
    """The weight (0 to 1) of the worst price scenarios, drawn from the differences of real-time and day-ahead prices of past days.

    Raises LookupError when no complete day of both is known."""
    return risk_of_facts(gathered.state.facts, gathered.inputs.outlook, gathered.at, weight, gathered.state.setup.book)


def write_plan_model(inputs: PlanInputs, file: Path) -> None:
    """Write the plan's model with named rows and columns, as LP or MPS by the file's suffix. Raises ValueError for another, OSError."""
    if file.suffix.lower() not in MODEL_SUFFIXES:
        raise ValueError(f"{file}: the name must end in .lp or .mps")
    write_model(_program(inputs), str(file))


def solve_with_other_solvers(inputs: PlanInputs) -> dict[str, Any]:
    """The objective of each solver in dollars, its difference from the first, and whether all agree."""
    found: dict[str, Any] = check(_program(inputs))
    return found


def unverified_rules(gathered: GatheredInputs) -> list[str]:
    """The market rules in force then, of the market and of the site's contracts, that nobody has checked against their text."""
    setup = gathered.setup
    on = OperatingDay.of(setup.site.market, gathered.at).on
    return list(setup.rules.unverified(setup.site.market, on, [o.type for o in setup.book]))


def _program(inputs: PlanInputs) -> Program:
    return program_of(inputs.site, inputs.book, inputs.outlook, inputs.so_far, inputs.availability)
