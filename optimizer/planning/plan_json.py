"""A plan as plain JSON values, as `loadstone plan --json` prints it: the typed document, its making from a Plan, and look-ups in it."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import NotRequired

from typing_extensions import TypedDict

from markets.grid import parse_instant
from markets.outlook import PeakWindow
from optimizer.planning.explain import breakevens, reasons
from optimizer.planning.result import GroupPlan, Plan, SolveInfo

# The line of what starts wear, beside the lines of contracts.
WEAR = "rigs/wear"


class GroupDocument(TypedDict):
    """A group of rigs in one interval: its load at the meter with overhead, its hashrate, and rigs by mode."""

    load_mw: float
    hashrate_ph: float
    modes: dict[str, float]


class GeneratorDocument(TypedDict):
    """A generator in one interval: MW, and the instant (ISO 8601) since when it runs or stands still."""

    mw: float
    since: str


class IntervalDocument(TypedDict):
    """One interval of a plan. `start` and `end` are ISO 8601 in UTC; `offers` is MW kept ready by reserve product; prices are those that
    the plan was made with, by settlement point. `generation`, by contract, is left out where a site has no generator. `peak_share` is the
    share of the month's (or season's) coincident peak that is expected in the interval, by the way it is metered (`window_name`); left
    out where no contract is charged by one or no system load is known."""

    start: str
    end: str
    load_mw: float
    groups: dict[str, GroupDocument]
    generation: NotRequired[dict[str, GeneratorDocument]]
    offers: dict[str, float]
    peak_share: NotRequired[dict[str, float]]
    price_usd_per_mwh: dict[str, float]
    hashprice_usd_per_ph_day: float


class ShortfallDocument(TypedDict):
    """A promise that cannot be kept: by how many MW at most, what that costs, when (market clock), and the cheapest way out."""

    promise: str
    mw: float
    usd: float
    hours: str
    repair: str


class FindingDocument(TypedDict):
    """Something a person should look at: a stable word for its kind, and a sentence."""

    kind: str
    text: str


class SolveDocument(TypedDict):
    """The size of the program, the seconds it took, and how it ended; `optimality_gap` is null for a program without integers."""

    rows: int
    cols: int
    build_s: float
    solve_s: float
    status: str
    optimality_gap: float | None


class PlanDocument(TypedDict):
    """A whole plan. `lines` are dollars over the horizon by OBLIGATION/CHARGE_TYPE, wear of starts included, and add up to
    `objective_usd`: a charge of a period stands whole, as it is owed, beside a line CHARGE_TYPE_carried that takes off the part that
    belongs to hours after the horizon; `accrued` names the lines that are owed in a later period. `shadow_prices` are by limit, one number
    an interval; `breakevens` are usd_per_mwh by group in the first interval; `at` is the instant the plan was made for."""

    at: str
    objective_usd: float
    intervals: list[IntervalDocument]
    lines: dict[str, float]
    accrued: NotRequired[list[str]]
    shadow_prices: dict[str, list[float]]
    shortfalls: list[ShortfallDocument]
    reasons: list[str]
    breakevens: dict[str, float]
    findings: list[FindingDocument]
    solve: SolveDocument


def plan_to_json(plan: Plan) -> PlanDocument:
    """The document of a plan: the same plan gives the same text."""
    return {
        "at": plan.at.isoformat(),
        "objective_usd": _rounded_usd(plan.objective_usd),
        "intervals": [_interval(plan, t) for t in range(len(plan.grid))],
        "lines": _lines(plan),
        "accrued": _accrued(plan),
        "shadow_prices": {name: [_rounded(v) for v in values] for name, values in plan.shadow_prices.items()},
        "shortfalls": [
            {"promise": s.promise, "mw": _rounded(s.mw), "usd": _rounded_usd(s.usd), "hours": s.hours, "repair": s.repair}
            for s in plan.shortfalls
        ],
        "reasons": list(reasons(plan)),
        "breakevens": {name: _rounded(value) for name, value in breakevens(plan).items()},
        "findings": [{"kind": f.kind, "text": f.text} for f in plan.findings],
        "solve": _solve(plan.solve),
    }


def first_intervals(plan: Plan, number: int) -> PlanDocument:
    """The document of a plan with its first intervals only, and without what only people read (reasons, shadow prices, breakevens): what
    decisions are made from."""
    return {
        "at": plan.at.isoformat(),
        "objective_usd": _rounded_usd(plan.objective_usd),
        "intervals": [_interval(plan, t) for t in range(min(number, len(plan.grid)))],
        "lines": {},
        "shadow_prices": {},
        "shortfalls": [],
        "reasons": [],
        "breakevens": {},
        "findings": [],
        "solve": _solve(plan.solve),
    }


def _lines(plan: Plan) -> dict[str, float]:
    """Dollars over the horizon by OBLIGATION/CHARGE_TYPE, and the wear of starts: they add up to the objective."""
    lines = {f"{obligation}/{charge}": _rounded_usd(float(usd.sum())) for (obligation, charge), usd in plan.lines.items()}
    wear_usd = _rounded_usd(-plan.origin.path.wear_usd)
    return lines | {WEAR: wear_usd} if wear_usd else lines


def _accrued(plan: Plan) -> list[str]:
    """The lines that are owed in a later period (next year's transmission charge), with what they carry."""
    later = {(e.obligation, e.charge_type) for e in plan.origin.program.earned if e.accrued}
    return [f"{obligation}/{charge}" for obligation, charge in plan.lines if (obligation, charge.removesuffix("_carried")) in later]


def planned_interval(plan: PlanDocument, at: datetime) -> IntervalDocument | None:
    """The interval that holds an instant; None before the plan's first and after its last."""
    for interval in plan["intervals"]:
        if parse_instant(interval["start"]) <= at < parse_instant(interval["end"]):
            return interval
    return None


def planned_generation(plan: PlanDocument | None, at: datetime) -> dict[str, float]:
    """MW by contract that a plan has its generators make at an instant; nothing without a plan or beyond its horizon."""
    interval = planned_interval(plan, at) if plan is not None else None
    return {name: float(made["mw"]) for name, made in interval.get("generation", {}).items()} if interval else {}


def _interval(plan: Plan, t: int) -> IntervalDocument:
    start, end = (datetime.fromtimestamp(int(edge), UTC) for edge in plan.grid.edges[t : t + 2])
    document: IntervalDocument = {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "load_mw": _rounded(plan.load_mw[t]),
        "groups": {name: _group(group, t) for name, group in plan.groups.items()},
        "offers": {product: _rounded(mw[t]) for product, mw in plan.offers.items()},
        "price_usd_per_mwh": {point: _rounded(values[t]) for point, values in plan.prices.items()},
        "hashprice_usd_per_ph_day": _rounded(plan.hashprice[t]),
    }
    if plan.generation:
        document["generation"] = {
            name: {"mw": _rounded(mw[t]), "since": plan.since[name][t].isoformat()} for name, mw in plan.generation.items()
        }
    if shares := plan.origin.program.outlook.peak_share:
        document["peak_share"] = {window_name(window): _rounded(series.values[t]) for window, series in shares.items()}
    return document


def window_name(window: PeakWindow) -> str:
    """How a coincident peak is metered, as a name: "15" for fifteen minutes of each month, "60 of 3" for an hour of each three months."""
    return f"{window[0]} of {window[1]}" if isinstance(window, tuple) else str(window)


def _group(group: GroupPlan, t: int) -> GroupDocument:
    return {
        "load_mw": _rounded(group.load_mw[t]),
        "hashrate_ph": _rounded(group.hashrate_ph[t]),
        "modes": {mode: _rounded(rigs[t]) for mode, rigs in group.modes.items()},
    }


def _solve(solve: SolveInfo) -> SolveDocument:
    return {
        "rows": solve.rows,
        "cols": solve.cols,
        "build_s": solve.build_s,
        "solve_s": solve.solve_s,
        "status": solve.status,
        "optimality_gap": None if math.isnan(solve.gap) else solve.gap,
    }


def _rounded(value: float) -> float:
    """Nine decimals: a thousandth of a watt; never a negative zero."""
    return round(float(value), 9) + 0.0


def _rounded_usd(value: float) -> float:
    return round(float(value), 6) + 0.0
