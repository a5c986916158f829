"""The day-ahead market's clock: of which hours energy and reserve can still be offered there.

Offers of an operating day are due the day before, at a fixed time on the market's clock (rule `MARKET.day_ahead_offers_due`). Until then
what a plan keeps ready can be sold at the expected day-ahead price. From then on only what was awarded counts, and what real time pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.grid import Grid, Market
from optimizer.domain.market_rules import Dated, days, rule


def rule_id(market: Market) -> str:
    """The id of the rule that says when a market's day-ahead offers are due."""
    return f"{market.value}.day_ahead_offers_due"


def offers_due(rules: Sequence[Dated], market: Market, on: date) -> datetime:
    """The instant until which offers of an operating day are accepted. Raises LookupError when no rule holds on that day."""
    hour, minute = str(rule(rules, rule_id(market), on).value).split(":")
    before = on - timedelta(days=1)
    return datetime(before.year, before.month, before.day, int(hour), int(minute), tzinfo=market.tz)


def can_be_offered(rules: Sequence[Dated], market: Market, grid: Grid, at: datetime) -> NDArray[np.bool_]:
    """Whether day-ahead offers of each interval's operating day are still accepted at an instant, shape (n,)."""
    operating_days = days(grid, market)
    still = {on: at < offers_due(rules, market, on) for on in dict.fromkeys(operating_days)}
    return np.array([still[on] for on in operating_days], dtype=bool)


def due_text(rules: Sequence[Dated], market: Market, grid: Grid, at: datetime, where: NDArray[np.bool_]) -> str:
    """Until when the intervals `where` can still be offered, in words: "; day-ahead offers are due on Mon 10:30"; "" where none can."""
    open_ = where & can_be_offered(rules, market, grid, at)
    due = dict.fromkeys(offers_due(rules, market, on) for on, here in zip(days(grid, market), open_, strict=True) if here)
    return f"; day-ahead offers are due on {' and '.join(f'{instant:%a %H:%M}' for instant in due)}" if due else ""
