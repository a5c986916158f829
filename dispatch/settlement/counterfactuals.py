"""What other strategies would have earned on a day, and how far the day stayed behind perfect foresight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

import numpy as np

from dispatch.settlement.day_journal import DayRecord
from dispatch.settlement.document import CauseRow, StrategyValue
from dispatch.settlement.measured_day import MeasuredDay
from dispatch.settlement.plan_differences import cause_rows, has_all_figures, plans_in_force
from markets.outlook import Basis, Outlook
from markets.series import Series
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import ZERO, cents, decimal
from optimizer.domain.site import GroupNow, Site, SoFar
from optimizer.planning.plan_json import planned_interval
from optimizer.planning.result import Plan
from optimizer.settlement import counterfactuals as strategies
from optimizer.settlement.counterfactuals import StrategyResult, last_published, perfect_foresight
from optimizer.settlement.settle import carried_usd
from optimizer.settlement.variance import foresight_gap_by_cause
from optimizer.solve.lexicographic import SolveError

GAP_TEXT = {
    "forecast": "the plans in force did not know the final prices",
    "obligation": "an instruction moved the load away from the plan",
    "device": "rigs drew or hashed more or less than planned",
    "ramp and wake": "rigs were waking",
    "link and feed": "no plan was in force, or rigs were not read",
}


@dataclass(frozen=True, slots=True)
class Counterfactuals:
    """The day under other strategies; empty where it cannot be valued, and `notes` say why.

    strategies      by name, each at the day's final prices; beside the day's own bill only their weighed part of a period's charge counts
    foresight_gap   from perfect foresight to what was earned, by cause, adding up exactly
    """

    strategies: dict[str, StrategyValue]
    foresight_gap: list[CauseRow]
    notes: list[str]


def counterfactuals(measured: MeasuredDay) -> Counterfactuals:
    """Every strategy under the day's book, limits and final prices. Strategies need every price: with a gap none is valued."""
    setup, actuals, record = measured.setup, measured.actuals, measured.record
    if any(v.is_nan() for values in (*actuals.energy_price.values(), actuals.hashprice) for v in values):
        return Counterfactuals({}, [], ["Other strategies are not valued: a price of the day is missing."])
    final = final_outlook(actuals, measured.temperature_c)
    at = actuals.grid.start
    so_far = SoFar(at=at, groups=modes_at(record, at), calls=actuals.calls, awards=actuals.awards, memory=actuals.memory)
    try:
        best = perfect_foresight(_awake_at_once(setup.site), setup.book, final, so_far)
    except SolveError as error:
        return Counterfactuals({}, [], [f"Other strategies are not valued: {error}."])
    published = {point: last_published(series, measured.prices.energy_before[point]) for point, series in final.energy.items()}
    values = strategies.counterfactuals(setup.book, best, published)
    own = carried_usd(setup.book, actuals)
    return Counterfactuals(
        {name: as_statement_value(beside_the_bill(value, own)) for name, value in values.items()},
        foresight_gap(measured, best),
        ["Other strategies are ideal: valued as if every rig were available and started at once."],
    )


def final_outlook(actuals: Actuals, temperature_c: Sequence[float]) -> Outlook:
    """The day as a plan would see it with every final price known. A reserve product without any price is left out."""
    grid = actuals.grid

    def series(values: Sequence[Decimal] | Sequence[float], unit: str) -> Series:
        return Series(grid, np.array([float(v) for v in values]), unit)

    reserve = {p: values for p, values in actuals.reserve_price.items() if not all(v.is_nan() for v in values)}
    return Outlook(
        at=grid.start,
        grid=grid,
        energy={point: series(values, "usd_per_mwh") for point, values in actuals.energy_price.items()},
        basis={point: (Basis.PUBLISHED,) * len(grid) for point in actuals.energy_price},
        hashprice=series(actuals.hashprice, "usd_per_ph_day"),
        temperature_c=series(temperature_c, "celsius"),
        reserve={product: series(values, "usd_per_mw_h") for product, values in reserve.items()},
        available_mw={name: series(_available_mw(actuals, name), "mw") for name in actuals.available_mwh},
        peak_share={w: series([ZERO if v.is_nan() else v for v in share], "share") for w, share in actuals.peak_share.items()},
    )


def _awake_at_once(site: Site) -> Site:
    """The site with rigs that hash as soon as they are ordered to."""
    return site.model_copy(update={"groups": tuple(g.model_copy(update={"wake_min": 0.0}) for g in site.groups)})


def _available_mw(actuals: Actuals, name: str) -> list[Decimal]:
    """What a plant could have made, MW; where that is not known, at least what it made."""
    both = zip(actuals.available_mwh[name], actuals.generated_mwh[name], actuals.grid.hours, strict=True)
    return [(made if could.is_nan() else could) / decimal(h) for could, made, h in both]


def foresight_gap(measured: MeasuredDay, best: Plan) -> list[CauseRow]:
    """From perfect foresight (`best`) to what was earned; nothing where a reading is missing, as a part of a day compares with nothing."""
    actuals = measured.actuals
    if not all(has_all_figures(actuals, n) for n in range(len(actuals.grid))):
        return []
    hours = [decimal(h) for h in actuals.grid.hours]
    foreseen = replace(
        actuals,
        energy_mwh={g: [decimal(mw) * h for mw, h in zip(p.load_mw, hours, strict=True)] for g, p in best.groups.items()},
        hash_ph_days={g: [decimal(ph) * h / 24 for ph, h in zip(p.hashrate_ph, hours, strict=True)] for g, p in best.groups.items()},
        generated_mwh={name: [decimal(x) * h for x, h in zip(mw, hours, strict=True)] for name, mw in best.generation.items()},
    )
    gap = foresight_gap_by_cause(measured.setup.book, foreseen, plans_in_force(actuals.grid, measured.record.plans), actuals)
    return cause_rows(gap, GAP_TEXT)


def modes_at(record: DayRecord, at: datetime) -> dict[str, GroupNow]:
    """Rigs by mode as the plan in force at an instant has them; empty when there was none."""
    plans = [plan for since, plan in record.plans if since <= at]
    found = planned_interval(plans[-1], at) if plans else None
    return {name: GroupNow(modes=group["modes"]) for name, group in found["groups"].items()} if found else {}


def beside_the_bill(value: StrategyResult, own: Mapping[str, Decimal]) -> StrategyResult:
    """A strategy's value as it compares with the day's bill, which owes the charges of a period whole: what the day itself leaves to later
    hours (`own`) is put back, so that a strategy differs from the bill only by its weighed part."""
    lines = dict(value.lines)
    for name, usd in own.items():
        lines[name] = lines.get(name, ZERO) - cents(usd)
    net = value.net_usd - sum((cents(usd) for usd in own.values()), ZERO)
    return replace(value, net_usd=net, lines={name: usd for name, usd in lines.items() if usd or name not in own})


def as_statement_value(value: StrategyResult) -> StrategyValue:
    """A strategy's value as a statement has it."""
    return {
        "net_usd": f"{value.net_usd:.2f}",
        "lines": {name: f"{usd:.2f}" for name, usd in value.lines.items()},
        "energy_mwh": round(value.energy_mwh, 6),
        "hash_ph_days": round(value.hash_ph_days, 6),
        "starts": round(value.starts),
    }
