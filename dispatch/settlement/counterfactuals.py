"""What other ways of running the day would have earned, and why it came out other than planned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine

from dispatch.settlement import prices
from dispatch.settlement.actuals import Measured
from dispatch.settlement.day_journal import DayRecord
from dispatch.site_file.setup import Setup
from markets.grid import Grid
from markets.outlook import Basis, Outlook
from markets.series import Series
from optimizer.domain.money import cents, decimal, plain
from optimizer.domain.site import GroupNow, SoFar
from optimizer.planning.plan_json import planned_interval
from optimizer.planning.result import Plan
from optimizer.settlement.counterfactuals import Value, counterfactuals, foresight, last_published
from optimizer.settlement.variance import CAUSES, InForce, differences, in_force, missed
from optimizer.solve.lexicographic import SolveError

CAUSE_TEXT = {
    "price": "prices came out other than the plans took them",
    "call": "an instruction stood",
    "data": "readings are estimates",
    "wake": "rigs were waking",
    "device": "rigs drew or hashed other than planned: drift, refusals, late or missing ones",
}
GAP_TEXT = {
    "forecast": "the plans in force did not know the prices that came",
    "obligation": "an instruction moved the load other than planned",
    "device": "rigs drew or hashed other than planned",
    "ramp and wake": "rigs were waking",
    "link and feed": "no plan was in force, or rigs were not read",
}


@dataclass(frozen=True, slots=True)
class Counterfactuals:
    """`ways`: each strategy at the day's final prices. `gap`: how far the day stayed behind perfect foresight, by cause. Both are JSON
    values, empty when a price of the day is missing; `remarks` say why."""

    ways: dict[str, Any]
    gap: list[dict[str, Any]]
    remarks: list[str]


def otherwise(engine: Engine, setup: Setup, measured: Measured, record: DayRecord) -> Counterfactuals:
    """What the day would have earned run in other ways. Strategies need every price: with a gap there are none."""
    actuals = measured.actuals
    if any(v.is_nan() for values in (*actuals.energy_price.values(), actuals.hashprice) for v in values):
        return Counterfactuals({}, [], ["Other ways of running are not valued: a price of the day is missing."])
    grid = actuals.grid
    final = Outlook(
        at=grid.start,
        grid=grid,
        energy={p: Series(grid, np.array([float(v) for v in values]), "usd_per_mwh") for p, values in actuals.energy_price.items()},
        basis={p: (Basis.PUBLISHED,) * len(grid) for p in actuals.energy_price},
        hashprice=Series(grid, np.array([float(v) for v in actuals.hashprice]), "usd_per_ph_day"),
        temperature_c=Series(grid, np.array(measured.temperature_c), "celsius"),
        reserve={
            p: Series(grid, np.array([float(v) for v in values]), "usd_per_mw_h")
            for p, values in actuals.reserve_price.items()
            if not all(v.is_nan() for v in values)
        },
        peak_share={m: Series(grid, np.array([float(v) for v in share]), "share") for m, share in actuals.peak_share.items()},
    )
    published = {p: last_published(s, _price_before(engine, setup, p, grid)) for p, s in final.energy.items()}
    so_far = SoFar(at=grid.start, groups=_modes_at(record, grid.start), calls=actuals.calls, awards=actuals.awards, memory=actuals.memory)
    try:
        best = foresight(setup.site, setup.book, final, so_far)
    except SolveError as fault:
        return Counterfactuals({}, [], [f"Other ways of running are not valued: {fault}."])
    ways = {name: _value(v) for name, v in counterfactuals(setup.book, best, published).items()}
    return Counterfactuals(
        ways, _gap(setup, measured, record, best), ["Other ways of running are valued with every rig, awake and hashing at once."]
    )


def _gap(setup: Setup, measured: Measured, record: DayRecord, best: Plan) -> list[dict[str, Any]]:
    """From perfect foresight to what was earned; nothing where a reading is missing, as a part of the day cannot be compared."""
    actuals = measured.actuals
    if not all(_billed(measured, n) for n in range(len(actuals.grid))):
        return []
    hours = [decimal(h) for h in actuals.grid.hours]
    foreseen = replace(
        actuals,
        energy_mwh={g: [decimal(mw) * h for mw, h in zip(p.load_mw, hours, strict=True)] for g, p in best.groups.items()},
        hash_ph_days={g: [decimal(ph) * h / 24 for ph, h in zip(p.hashrate_ph, hours, strict=True)] for g, p in best.groups.items()},
        generated_mwh={name: [decimal(x) * h for x, h in zip(mw, hours, strict=True)] for name, mw in best.generation.items()},
    )
    found = missed(setup.book, foreseen, _foreseen(actuals.grid, record), actuals)
    return [{"cause": name, "usd": f"{cents(usd):.2f}", "exact_usd": plain(usd), "text": GAP_TEXT[name]} for name, usd in found.items()]


def _foreseen(grid: Grid, record: DayRecord) -> list[InForce | None]:
    return list(in_force(grid, record.plans)) if record.plans else [None] * len(grid)


def _price_before(engine: Engine, setup: Setup, point: str, grid: Grid) -> float:
    hour = Grid.regular(grid.start - timedelta(hours=1), grid.start, setup.site.market.settlement_min)
    known = [v for v in prices.energy(engine, setup, point, hour, None).values if not v.is_nan()]
    return float(known[-1]) if known else float("nan")


def _modes_at(record: DayRecord, at: datetime) -> dict[str, GroupNow]:
    """Rigs by mode as the plan in force at an instant had them; nothing when there was none."""
    plans = [plan for since, plan in record.plans if since <= at]
    found = planned_interval(plans[-1], at) if plans else None
    return {name: GroupNow(modes=group["modes"]) for name, group in found["groups"].items()} if found else {}


def _value(value: Value) -> dict[str, Any]:
    return {
        "net_usd": f"{value.net_usd:.2f}",
        "lines": {name: f"{usd:.2f}" for name, usd in value.lines.items()},
        "energy_mwh": round(value.energy_mwh, 6),
        "hash_ph_days": round(value.hash_ph_days, 6),
        "starts": round(value.starts),
    }


def by_cause(setup: Setup, measured: Measured, record: DayRecord) -> tuple[dict[str, Any], list[str]]:
    """The difference from the plans in force, by cause, as JSON values beside `planned_net_usd`; and remarks. An interval with a gap, or
    without a plan in force for all of it, is taken as planned."""
    actuals = measured.actuals
    planned = _foreseen(actuals.grid, record)
    without = sum(p is None for p in planned)
    foreseen: list[InForce | None] = [p if _billed(measured, n) else None for n, p in enumerate(planned)]
    found = differences(setup.book, foreseen, actuals)
    rows = [
        {"cause": name, "usd": f"{cents(found.causes[name]):.2f}", "exact_usd": plain(found.causes[name]), "text": CAUSE_TEXT[name]}
        for name in CAUSES
    ]
    notes = [f"In {without} of {len(planned)} intervals no plan was in force all the time: they count as planned."] if without else []
    return {
        "planned_net_usd": f"{cents(found.planned_usd):.2f}",
        "planned_net_exact_usd": plain(found.planned_usd),
        "differences": rows,
    }, notes


def _billed(measured: Measured, n: int) -> bool:
    a = measured.actuals
    stretches = (*a.energy_mwh.values(), *a.hash_ph_days.values(), *a.energy_price.values(), a.hashprice)
    return not any(values[n].is_nan() for values in stretches)
