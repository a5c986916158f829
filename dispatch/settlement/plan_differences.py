"""How far a day was from the plans in force, by cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from dispatch.settlement.day_journal import Plans
from dispatch.settlement.document import CauseRow
from markets import counted
from markets.grid import Grid
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import cents, plain
from optimizer.domain.obligation import Obligation
from optimizer.settlement.variance import VARIANCE_CAUSES, PlannedEnergy, planned_energy, variance_by_cause

CAUSE_TEXT = {
    "price": "prices differed from those of the plans",
    "call": "an instruction was in force",
    "data": "readings are estimates",
    "wake": "rigs were waking",
    "device": "rigs drew or hashed more or less than planned: drift, refusals, late or missing ones",
}


@dataclass(frozen=True, slots=True)
class PlanDifferences:
    """`planned_usd` is what the plans in force were worth; the causes in `rows` add up from there to the actual net, exactly."""

    planned_usd: Decimal
    rows: list[CauseRow]
    notes: list[str]


def plan_differences(book: Sequence[Obligation], actuals: Actuals, plans: Plans) -> PlanDifferences:
    """By cause. An interval with a gap, or without a plan in force for all of it, counts as planned. `plans` are (in force from, PLAN)."""
    planned = plans_in_force(actuals.grid, plans)
    comparable = [plan if has_all_figures(actuals, n) else None for n, plan in enumerate(planned)]
    found = variance_by_cause(book, comparable, actuals)
    without = sum(plan is None for plan in planned)
    note = f"In {without} of {counted(len(planned), 'interval')} no plan was in force throughout: they count as planned."
    return PlanDifferences(
        found.planned_usd, cause_rows({name: found.causes[name] for name in VARIANCE_CAUSES}, CAUSE_TEXT), [note] if without else []
    )


def plans_in_force(grid: Grid, plans: Plans) -> list[PlannedEnergy | None]:
    """What the plans in force said of each interval; None where no plan covered all of it."""
    return list(planned_energy(grid, plans)) if plans else [None] * len(grid)


def has_all_figures(actuals: Actuals, n: int) -> bool:
    """Whether every price and reading of an interval is known."""
    stretches = (*actuals.energy_mwh.values(), *actuals.hash_ph_days.values(), *actuals.energy_price.values(), actuals.hashprice)
    return not any(values[n].is_nan() for values in stretches)


def cause_rows(usd_by_cause: Mapping[str, Decimal], texts: Mapping[str, str]) -> list[CauseRow]:
    """Dollars by cause as a statement has them."""
    return [{"cause": name, "usd": f"{cents(usd):.2f}", "exact_usd": plain(usd), "text": texts[name]} for name, usd in usd_by_cause.items()]
