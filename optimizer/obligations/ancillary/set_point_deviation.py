"""Set points: what a controllable load owes for the energy outside the tolerance about its average set point.

Market rules: docs/rules.md#set-points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from markets.facts import CallKind
from optimizer.domain.array_types import larger, smaller
from optimizer.domain.calls import active
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.market_rules import Dated, days, figures, rule
from optimizer.domain.site import Scope, meters_in

SIDE = "ercot.set_point.side"


def deviation(
    its: Quantities[Any], name: str, scope: Scope, rules: Sequence[Dated], settled: Callable[[str], tuple[Any, str]]
) -> Iterable[Charge[Any]]:
    """Below the tolerance at one price, above it at another, per MWh (ERCOT Nodal Protocols 6.6.5.1). `settled`: the price at which a
    meter's energy settles, by the meter's settlement point, and the point it is of."""
    at, under = _set_points(its, name)
    if not under.any():
        return
    point = next(m.settlement_point for m, _ in meters_in(its.site, scope))
    share, amount, size, low_price, high_price = _tolerance(its, rules)
    one, zero = its.number(1), its.number(0)
    less = smaller((one - share) * at, at - amount)
    low = larger(less, zero) * its.hours * under
    high = larger((one + share) * at, at + amount) * its.hours * under
    price, point = settled(point)
    dear, cheap = larger(price, size), -smaller(low_price, price) * high_price
    on = days(its.grid, its.site.market)
    mirrored = np.array([rule(rules, SIDE, day).value == "mirrored" for day in on])
    below, above = np.where(mirrored, dear, cheap) * under, np.where(mirrored, cheap, dear) * under
    load = its.sum([its.energy_mwh(group) for group in scope.names(its.site)])
    usd = its.below(load, np.stack([low, high], axis=1), (below, below * zero, -above)) - below * low
    yield Charge("set_point_deviation", usd, "usd", its.during(None), rule(rules, SIDE, on[-1]).cited, point)


def _set_points(its: Quantities[Any], name: str) -> tuple[Any, Any]:
    """The average set point, MW, and one where a set point stands over the whole interval. Of several that stand at a moment the lowest
    counts, as it does for the load (`called_bounds`)."""
    at, covered = its.during(None) * its.number(0), its.during(None) * its.number(0)
    calls = [c for c in its.calls_of(name) if c.kind is CallKind.SET_POINT and c.mw_target is not None]
    for t, over in enumerate(its.grid.intervals if calls else ()):
        here = [c for c in calls if active(c, over)]
        cuts = sorted(
            {over.start, over.end, *(i for c in here for i in (c.start_at, c.end_at) if i is not None and over.start < i < over.end)}
        )
        for first, last in zip(cuts, cuts[1:], strict=False):
            targets = [c.mw_target for c in here if c.start_at <= first and (c.end_at is None or c.end_at >= last)]
            if targets:
                part = its.number((last - first).total_seconds()) / its.number((over.end - over.start).total_seconds())
                at[t], covered[t] = at[t] + part * its.number(min(mw for mw in targets if mw is not None)), covered[t] + part
    whole = covered >= its.number(0.999999)
    return at, np.where(whole, its.number(1), its.number(0))


def _tolerance(its: Quantities[Any], rules: Sequence[Dated]) -> tuple[Any, ...]:
    words = ("share", "mw", "pr1_usd_per_mwh", "pr2_usd_per_mwh", "kp")
    found = [figures(rules, f"ercot.set_point.{word}", its.grid, its.site.market) for word in words]
    zero = its.during(None) * its.number(0)
    return tuple(zero + np.array([its.number(v) for v in values], dtype=zero.dtype) for values in found)
