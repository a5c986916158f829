"""Awards that a plan does not carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from optimizer.domain.calls import active
from optimizer.domain.market_rules import Dated
from optimizer.domain.reserve_awards import DAY_AHEAD, SUPPLEMENTAL
from optimizer.domain.shortfall import Shortfall
from optimizer.lp.phrases import hours, missing_rigs
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory
from optimizer.obligations.ancillary.products import two_settlements

KEPT_MW = 1e-6


def awards_not_carried(
    program: Program, path: Trajectory, name: str, groups: Sequence[str], products: Sequence[str], rules: Sequence[Dated], economic: bool
) -> Iterable[Shortfall]:
    """By product: megawatts, hours, what that costs, why, and the cheapest way out. `economic`: the contract buys back where that pays."""
    for product in products:
        promised, paid = program.awarded(name, product, DAY_AHEAD)
        paid = np.maximum(paid, program.awarded(name, product, SUPPLEMENTAL)[1])
        short = np.maximum(0.0, promised - path.offers.get((name, product), np.zeros(program.n)))
        where = short > KEPT_MW
        if not where.any():
            continue
        price = np.where(two_settlements(program, rules) > 0, program.reserve_price(name, product), paid)
        most, why, repair = float(short.max()), "", f"release {short.max():.3g} MW"
        gone, mw_per_rig = missing_rigs(program, groups, where)
        under = [over for over, lacks in zip(program.grid.intervals, where, strict=True) if lacks]
        if gone:
            why, repair = f"{gone}; ", f"{repair} or restore {np.ceil(most / mw_per_rig):,.0f} rigs"
        elif any(active(call, over) for call in program.calls_of(name) for over in under):
            why = "it is deployed; "
        elif economic:
            why = "carrying it costs more than buying it back; "
        usd = float((short * price * program.hours).sum())
        yield Shortfall(f"{name} {product}", most, usd, f"{why}{repair}", hours(program.site.market, program.grid, where))
