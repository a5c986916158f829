"""When the demonstration begins: at the next instant whose price wakes every model, so that a cold site is seen coming up."""

from __future__ import annotations

from datetime import datetime, timedelta

from dispatch.config import Setup
from dispatch.settings import FixedHash, SyntheticPrices
from markets.facts import Price, PriceMarket
from markets.hashmath import breakeven_usd_per_mwh
from markets.synthetic import SyntheticSource

# Overhead, adders and pool fee come off the breakeven of bare rigs.
MARGIN = 0.75
AHEAD = timedelta(hours=24)


async def opening(setup: Setup, now: datetime) -> datetime:
    """The first instant from `now` on at which the last published price is well under every model's breakeven; `now` when there is none."""
    if not isinstance(setup.prices, SyntheticPrices) or not isinstance(setup.hash, FixedHash):
        return now
    least = MARGIN * min(breakeven_usd_per_mwh(setup.hash.usd_per_ph_day, g.full.j_per_th) for g in setup.site.groups)
    market = SyntheticSource(setup.site.market, setup.prices.seed, [setup.site.settlement_point])
    for fact in await market.fetch(now - timedelta(minutes=16), now + AHEAD):
        if isinstance(fact, Price) and fact.market is PriceMarket.REAL_TIME_15_MIN and fact.usd_per_mwh < least:
            return max(now, fact.known_at + timedelta(seconds=30))
    return now
