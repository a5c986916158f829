"""A plan as plain JSON values: CONTRACT `plan --json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optimizer.domain.array_types import Floats
from optimizer.domain.generator import SINCE

if TYPE_CHECKING:
    from optimizer.planning.result import GroupPlan, Plan


def document(plan: Plan) -> dict[str, Any]:
    """`lines` are totals over the horizon under "OBLIGATION/CHARGE_TYPE"; `shadow_prices` are lists, one number an interval. Beside the
    contract's keys: `at`, `breakevens`, `findings`, and in each interval the prices this plan took."""
    return {
        "at": plan.at.isoformat(),
        "objective_usd": _cent(plan.objective_usd),
        "intervals": [_interval(plan, t) for t in range(len(plan.grid))],
        "lines": {f"{obligation}/{charge}": _cent(float(usd.sum())) for (obligation, charge), usd in plan.lines.items()},
        "shadow_prices": {name: _list(values) for name, values in plan.shadow_prices.items()},
        "shortfalls": [
            {"promise": s.promise, "mw": _short(s.mw), "usd": _cent(s.usd), "hours": s.hours, "repair": s.repair} for s in plan.shortfalls
        ],
        "reasons": list(plan.reasons),
        "breakevens": {name: _short(value) for name, value in plan.breakevens.items()},
        "findings": [{"kind": f.kind, "text": f.text} for f in plan.findings],
        "solve": {
            "rows": plan.solve.rows,
            "cols": plan.solve.cols,
            "build_s": plan.solve.build_s,
            "solve_s": plan.solve.solve_s,
            "status": plan.solve.status,
            "gap": None if math.isnan(plan.solve.gap) else plan.solve.gap,
        },
    }


def _interval(plan: Plan, t: int) -> dict[str, Any]:
    over = plan.grid.intervals[t]
    made = {name: {"mw": _short(mw[t]), SINCE: plan.since[name][t].isoformat()} for name, mw in plan.generation.items()}
    return {
        "start": over.start.isoformat(),
        "end": over.end.isoformat(),
        "load_mw": _short(plan.load_mw[t]),
        **({"generation": made} if made else {}),
        "groups": {name: _group(group, t) for name, group in plan.groups.items()},
        "offers": {product: _short(mw[t]) for product, mw in plan.offers.items()},
        "price_usd_per_mwh": {point: _short(values[t]) for point, values in plan.prices.items()},
        "hashprice_usd_per_ph_day": _short(plan.hashprice[t]),
    }


def _group(group: GroupPlan, t: int) -> dict[str, Any]:
    modes: Mapping[str, Floats] = group.modes
    return {
        "load_mw": _short(group.load_mw[t]),
        "hashrate_ph": _short(group.hashrate_ph[t]),
        "modes": {mode: _short(rigs[t]) for mode, rigs in modes.items()},
    }


def _short(value: float) -> float:
    """Nine decimals: a thousandth of a watt, and the same text for the same plan."""
    return round(float(value), 9) + 0.0


def _cent(value: float) -> float:
    return round(float(value), 6) + 0.0


def _list(values: Floats) -> list[float]:
    return [_short(v) for v in values]
