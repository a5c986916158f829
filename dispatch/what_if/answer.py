"""The answers of a what-if and of a sweep, as typed JSON documents. Dollars are over the whole span; positive is to the site."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from dispatch.what_if.rule_changes import RuleChange
from optimizer.planning.plan_json import PlanDocument


class Totals(TypedDict):
    """The sums of a plan, or of the difference of two: dollars, energy at the meter, and hashing. `lines` are by OBLIGATION/CHARGE_TYPE.
    `net_usd` is `settled_usd`, what is owed with the days of the span, and `accrued_usd`, what is owed in a later period."""

    net_usd: float
    settled_usd: float
    accrued_usd: float
    lines: dict[str, float]
    energy_mwh: float
    hash_ph_days: float


class PromiseResult(TypedDict):
    """A promise in one plan: whether it applies, whether it is kept, and its largest shortfall with the cost of all of them."""

    made: bool
    kept: bool
    shortfall_mw: float
    shortfall_usd: float


class PromiseComparison(TypedDict):
    """A promise in both plans."""

    name: str
    base: PromiseResult
    case: PromiseResult


class BindingLimit(TypedDict):
    """What one more MW of a limit over the whole span would be worth in each plan, $/MW."""

    limit: str
    base_usd_per_mw: float
    case_usd_per_mw: float


class ForecastErrorResult(TypedDict):
    """Prices that come in place of the foreseen ones: what the case's plan earns at them (`paid`), what a plan that knew them earns
    (`foreseen`), and the difference, which is what the error costs."""

    paid: Totals
    foreseen: Totals
    cost_usd: float


class WhatIfAnswer(TypedDict):
    """The plan without the scenario (`base`), the plan with it (`case`), and their comparison; `difference` is case minus base.
    `forecast_error` is there where the scenario has one, `rules` (what differs, by contract) where it has `rules_on`."""

    base: PlanDocument
    case: PlanDocument
    difference: Totals
    promises: list[PromiseComparison]
    binding: list[BindingLimit]
    reasons: list[str]
    forecast_error: NotRequired[ForecastErrorResult]
    rules: NotRequired[list[RuleChange]]


class BreakEvenAnswer(TypedDict):
    """Where the groups come back or go: the value of the key at which they hash half of what they can over the span, None where they do
    not cross it between `low` and `high`; the share they run at both ends; and sentences."""

    key: str
    groups: list[str]
    value: float | None
    share_at_low: float
    share_at_high: float
    plans: int
    reasons: list[str]


class SweepAxis(TypedDict):
    """A key of the scenario and the values it takes."""

    key: str
    values: list[float]


class SweepRow(Totals):
    """One point of the grid: the value of each axis, the sums of its plan, its difference from the base, and the cost of its shortfalls."""

    values: list[float]
    difference_usd: float
    shortfall_usd: float


class SweepAnswer(TypedDict):
    """A sweep: its axes, the sums of the plan without the scenario, and a row for each point; the last axis varies fastest."""

    axes: list[SweepAxis]
    base: Totals
    rows: list[SweepRow]
