"""Rules of controllable loads that hold from a day on: energy that settles at a node, and what a provisional load may not do yet.

Market rules: docs/rules.md#controllable-loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.formula import Charge, Quantities, per_interval
from optimizer.domain.market_rules import Dated, days, rule
from optimizer.domain.net_load import billed_mwh
from optimizer.domain.site import NotNegative, Positive, Scope, Written, meters_in

SETTLES_AT, BARRED, BID = "ercot.clr.energy_settles_at", "ercot.pclr.ancillary_services", "ercot.pclr.energy_bid"
NODE = "node"
EVER = Interval(datetime.fromisoformat("1970-01-01T00:00:00+00:00"), datetime.fromisoformat("9999-01-01T00:00:00+00:00"))


class Provisional(Written):
    """A controllable load that is connected before the transmission it needs is there (PCLR).

    until                 its exit date: the first operating day on which it is a controllable load like every other
    study_mw              the load that the interconnection study lets it draw at all times
    bid_cap_usd_per_mwh   the most that ERCOT takes its energy bid at, where it has said so
    """

    until: date
    study_mw: NotNegative
    bid_cap_usd_per_mwh: Positive | None = None


def at_node(rules: Sequence[Dated], market: Market) -> Interval | None:
    """When the energy of a controllable load settles at its node, by the rule of each day; None: never."""
    spans = sorted((r.from_, r.to) for r in rules if r.id == SETTLES_AT and r.value == NODE)
    if not spans:
        return None
    first, last = spans[0][0], spans[-1][1]
    start = EVER.start if first <= EVER.start.date() else OperatingDay(market, first).start
    return Interval(start, EVER.end if last is None else OperatingDay(market, last).start)


def energy_by_rule(its: Quantities[Any], name: str, scope: Scope, node: str, rules: Sequence[Dated]) -> Iterable[Charge[Any]]:
    """Metered load with losses at the price of the load zone, or of the node, as the rule of each day says (NPRR1188)."""
    on = days(its.grid, its.site.market)
    held = {day: rule(rules, SETTLES_AT, day) for day in dict.fromkeys(on)}
    for found in dict.fromkeys(held.values()):
        here = per_interval(its, [1 if held[day] is found else 0 for day in on])
        for meter, groups in meters_in(its.site, scope):
            point = node if found.value == NODE else meter.settlement_point
            taken = billed_mwh(its, meter, groups, lambda group: its.settled_by(name, group))
            mwh = taken if len(set(held.values())) == 1 else taken * here
            yield Charge("clr_energy", mwh, "mwh", -its.energy_price(point), found.cited, point, meter=meter.id)


def settled_price(its: Quantities[Any], point: str, node: str | None, during: Interval | None) -> tuple[Any, str]:
    """The price at which the load's energy settles in each interval, and the point it is of; empty where it is of both."""
    price = its.energy_price(point)
    if node is None or during is None:
        return price, point
    there = its.during(during) > 0
    return np.where(there, its.energy_price(node), price), node if there.all() else "" if there.any() else point


def provisional_rule(rules: Sequence[Dated], provisional: Provisional | None, id_: str, on: date) -> Dated | None:
    """A rule of provisional loads where it binds the load on an operating day: one that has not reached its exit date."""
    if provisional is None or on >= provisional.until:
        return None
    return next((r for r in rules if r.id == id_ and r.holds(on)), None)


def barred(its: Quantities[Any], rules: Sequence[Dated], provisional: Provisional | None) -> Any:
    """One in each interval in which a provisional load provides no ancillary service, zero elsewhere, shape (n,)."""
    on = days(its.grid, its.site.market)
    bars = {day: provisional_rule(rules, provisional, BARRED, day) is not None for day in dict.fromkeys(on)}
    return per_interval(its, [1 if bars[day] else 0 for day in on])


def bid_caps(grid_days: Sequence[date], rules: Sequence[Dated], provisional: Provisional | None) -> NDArray[np.float64]:
    """The most that its energy may be bid at in each interval, usd_per_mwh; infinite where nothing caps it, shape (n,)."""
    cap = float("inf") if provisional is None or provisional.bid_cap_usd_per_mwh is None else provisional.bid_cap_usd_per_mwh
    caps = {day: cap if provisional_rule(rules, provisional, BID, day) else float("inf") for day in dict.fromkeys(grid_days)}
    return np.array([caps[day] for day in grid_days])
