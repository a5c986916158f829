"""The prices that the market published for what an award sells: they pay it, whatever price it came with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from dispatch.store.prices import price_vintages, reserve_prices_known
from markets.factbook import day_ahead_point
from markets.facts import Award, PriceMarket
from markets.grid import Interval
from optimizer.domain.obligation import Obligation
from optimizer.domain.reserve_awards import DAY_AHEAD, REAL_TIME, priced_as
from optimizer.domain.site import Site

# By the market of an award, the run whose clearing prices of reserve pay it; no source publishes those of the supplemental market.
RUN_OF = {DAY_AHEAD: "DAM", REAL_TIME: "REAL_TIME_15_MIN"}


def published_prices(
    engine: Engine, site: Site, book: Sequence[Obligation], award: Award, known_at: datetime | None = None
) -> list[tuple[Interval, float]]:
    """By interval, as far as it is published and known at `known_at` (None: now): the day-ahead energy price of an award of energy, $/MWh,
    else the clearing price of the product, $ per MW and hour. Raises LedgerUnavailable."""
    contract = next((o for o in book if o.name == award.obligation), None)
    terms = contract.award_terms(site).get(award.product) if contract else None
    if terms is not None and terms.price_at is not None:
        if award.market != DAY_AHEAD:
            return []
        point = day_ahead_point(terms.price_at)
        prices = {p.over: p for p in price_vintages(engine, point, PriceMarket.DAY_AHEAD_HOURLY, award.over, known_at)}
        return [(over, price.usd_per_mwh) for over, price in prices.items()]
    run = RUN_OF.get(award.market)
    if run is None:
        return []
    return [(p.over, p.usd_per_mw_h) for p in reserve_prices_known(engine, priced_as(award.product), run, award.over, known_at)]
