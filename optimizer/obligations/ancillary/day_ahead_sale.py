"""Reserve that a plan counts as sold in the day-ahead market, because it can still be offered there.

Once offers were due (10:00 on the day before), only awards count: an hour without one earns nothing, and nothing is kept ready for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.day_ahead_market import offers_due
from optimizer.domain.formula import Charge
from optimizer.domain.market_rules import Dated, days
from optimizer.domain.reserve_awards import DAY_AHEAD, expected
from optimizer.lp.program import Program
from optimizer.lp.trajectory import Trajectory

SOLD_MW = 1e-6


def count_as_sold(program: Program, name: str, kept: Mapping[str, Any], open_: NDArray[np.bool_], cited: str) -> None:
    """Prices what is kept ready at the expected day-ahead price where it can still be offered (`open_`) and nothing was awarded yet."""
    for product, mw in kept.items():
        awarded, _ = program.awarded(name, product, DAY_AHEAD)
        where = open_ & (awarded <= 0)
        if where.any():
            program.sold_ahead[(name, product)] = where
            price = expected(program.outlook, product)
            program.earn(name, Charge(f"{product.lower()}_day_ahead", mw * (program.hours * where), "mw_h", price, cited))


def reasons(program: Program, path: Trajectory, name: str, rules: Sequence[Dated]) -> Iterable[str]:
    """By product and operating day: what the plan counts as sold, and until when it must be offered."""
    market = program.site.market
    for (seller, product), where in program.sold_ahead.items():
        mw = path.offers.get((seller, product), np.zeros(program.n))
        by_day: dict[date, float] = {}
        for on, sold, open_ in zip(days(program.grid, market), mw, where, strict=True):
            if seller == name and open_ and sold > SOLD_MW:
                by_day[on] = max(by_day.get(on, 0.0), float(sold))
        for on, most in by_day.items():
            due = offers_due(rules, market, on)
            yield f"{name}: up to {most:.4g} MW of {product} on {on:%a %d %b} count as sold; offers are due on {due:%a %d %b at %H:%M}"
