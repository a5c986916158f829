"""What other ways of running the day would have earned, and why it came out other than planned."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import Engine

from dispatch.config import Setup
from dispatch.decide.reflex import planned_interval
from dispatch.reports import prices
from dispatch.reports.measured import Measured
from dispatch.reports.record import DayRecord
from markets.grid import Grid
from markets.outlook import Basis, Outlook
from markets.series import Series
from optimizer.differences import CAUSES, InForce, differences, in_force
from optimizer.money import Finding, cents
from optimizer.obligations import standing
from optimizer.site import GroupNow, SoFar
from optimizer.stages import SolveError
from optimizer.value import Value, counterfactuals, last_published

CAUSE_TEXT = {
    "price": "prices came out other than the plans took them",
    "call": "an instruction stood",
    "data": "readings are estimates",
    "wake": "rigs were waking",
    "device": "rigs drew or hashed other than planned: drift, refusals, late or missing ones",
}
CALL_TOLERANCE = 0.01


def strategies(engine: Engine, setup: Setup, measured: Measured, record: DayRecord) -> tuple[dict[str, Any], list[str]]:
    """Each strategy at the day's final prices, as JSON values, and remarks. Strategies need every price: with a gap there are none."""
    actuals = measured.actuals
    if any(v.is_nan() for values in (*actuals.energy_price.values(), actuals.hashprice) for v in values):
        return {}, ["Other ways of running are not valued: a price of the day is missing."]
    grid = actuals.grid
    final = Outlook(
        at=grid.start,
        grid=grid,
        energy={p: Series(grid, np.array([float(v) for v in values]), "usd_per_mwh") for p, values in actuals.energy_price.items()},
        basis={p: (Basis.PUBLISHED,) * len(grid) for p in actuals.energy_price},
        hashprice=Series(grid, np.array([float(v) for v in actuals.hashprice]), "usd_per_ph_day"),
        temperature_c=Series(grid, np.array(measured.temperature_c), "celsius"),
        peak_share={m: Series(grid, np.array([float(v) for v in share]), "share") for m, share in actuals.peak_share.items()},
    )
    published = {p: last_published(s, _price_before(engine, setup, p, grid)) for p, s in final.energy.items()}
    so_far = SoFar(at=grid.start, groups=_modes_at(record, grid.start), calls=actuals.calls, awards=actuals.awards, memory=actuals.memory)
    try:
        found = counterfactuals(setup.site, setup.book, final, published, so_far)
    except SolveError as fault:
        return {}, [f"Other ways of running are not valued: {fault}."]
    return {name: _value(v) for name, v in found.items()}, ["Other ways of running are valued with every rig, awake and hashing at once."]


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
    planned = list(in_force(actuals.grid, record.plans)) if record.plans else [None] * len(actuals.grid)
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


def broken_calls(setup: Setup, measured: Measured) -> list[Finding]:
    """Calls whose cap the metered load went over in an interval that began a tick or more after the call did."""
    actuals, site = measured.actuals, setup.site
    found = []
    for obligation in setup.book:
        names = obligation.scope.names(site)
        for call in standing(actuals.calls, obligation.name):
            cap_mw = call.mw_cap if call.mw_cap is not None else call.mw_target
            since = call.start_at + timedelta(seconds=site.tick_s)
            over_mw: list[float] = []
            for n, over in enumerate(actuals.grid.intervals):
                mwh = sum((actuals.energy_mwh[g][n] for g in names), Decimal(0))
                inside = over.start >= since and (call.end_at is None or over.end <= call.end_at)
                if cap_mw is not None and inside and not mwh.is_nan() and (mw := float(mwh) / over.hours) > cap_mw * (1 + CALL_TOLERANCE):
                    over_mw.append(mw)
            if over_mw:
                text = (
                    f"call {call.id}: {obligation.name} stood above {cap_mw:g} MW in {len(over_mw)} intervals, up to {max(over_mw):.3f} MW"
                )
                found.append(Finding("call-not-kept", text))
    return found


def plain(value: Decimal) -> str:
    """A Decimal without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
