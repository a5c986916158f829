"""Reserve that a strategy sells day-ahead in a backtest, as a price taker: the site's MW do not move the clearing price.

This product makes its offers shortly before they are due, by the functions of `loadstone offers`, from what was known then. A step is
awarded where its price is not above the clearing price as it was first published. Perfect foresight sells what its own plan carries at the
final prices. An award becomes known when the clearing price was published, and binds the loop from then on as one that was received does. A
price that the market corrected later pays it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

import numpy as np

from dispatch.backtest.market_facts import Floats, MarketFacts
from dispatch.decide.state import State
from dispatch.entries import GroupSeen, Seen
from dispatch.offers.document import OfferedHour, ReserveOffer
from dispatch.offers.make import Offering, offered_reserve
from dispatch.offers.proved import Proof
from dispatch.sim.strategies import FORESEEN_AFTER_DAY, part_of
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from markets import UnknownPrice
from markets.factbook import FactBook
from markets.facts import Award, Fact, ReservePrice
from markets.forecasting.outlook_values import means_on
from markets.grid import Grid, Interval, OperatingDay, parse_instant
from markets.series import Series
from optimizer.domain.day_ahead_market import offers_due
from optimizer.domain.reserve_awards import DAY_AHEAD, at_published_prices, priced_as
from optimizer.domain.site import RigGroup, SoFar
from optimizer.settlement.counterfactuals import perfect_foresight
from optimizer.solve import Session
from optimizer.solve.lexicographic import Solver

# Regulation moves a load every few seconds, which no archive tells.
REGULATION = frozenset({"REGUP", "REGDN"})
HOUR = timedelta(hours=1)
LEAST_MW = 0.1

Awards = tuple[Award, ...]


def sells_reserve(setup: Setup) -> bool:
    """Whether a contract of the site sells a product whose awards are simulated."""
    return any(set(o.reserve_products()) - REGULATION for o in setup.book)


def awards_by_strategy(setup: Setup, market: MarketFacts, risk_weight: float = 0.0) -> dict[str, Awards]:
    """What this product and perfect foresight sell over a part, by strategy; the others sell nothing. `risk_weight` is that of the worst
    price scenarios in this product's offers. Raises SolveError."""
    if not sells_reserve(setup):
        return {}
    cleared = ClearingPrices(market.facts)
    return {"loadstone": offered_awards(setup, market, cleared, risk_weight), "perfect_foresight": foreseen_awards(setup, market, cleared)}


def with_awards(facts: Sequence[Fact], awards: Awards) -> tuple[Fact, ...]:
    """The facts with awards among them, in order of `known_at`."""
    return tuple(sorted((*facts, *awards), key=lambda fact: fact.known_at)) if awards else tuple(facts)


class ClearingPrices:
    """The day-ahead clearing prices of reserve in an archive, in two vintages: the first of an hour decides what is awarded and is known
    to its seller, the newest pays it."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        prices = [f for f in facts if isinstance(f, ReservePrice) and f.market == DAY_AHEAD]
        self._newest = FactBook().after(prices)
        self._first: dict[tuple[str, Interval], ReservePrice] = {}
        for price in sorted(prices, key=lambda p: p.known_at):
            self._first.setdefault((price.product, price.over), price)

    def first(self, product: str, hour: Interval) -> ReservePrice | None:
        """The price of a product in an hour as it was first published; None where it is not known."""
        return self._first.get((priced_as(product), hour))

    def on(self, product: str, grid: Grid) -> Floats:
        """usd_per_mw_h in each interval of a grid in the newest vintage, NaN where it is not known, shape (n,)."""
        return means_on(self._newest.reserve(priced_as(product), grid.over), grid)

    def billed(self, awards: Awards) -> Awards:
        """The awards at the newest vintage of their prices."""
        return at_published_prices(
            awards, lambda award: [(p.over, p.usd_per_mw_h) for p in self._newest.reserve(priced_as(award.product), award.over)]
        )

    def award(self, contract: str, product: str, hour: Interval, mw: float) -> Award | None:
        """An award at the first clearing price of an hour; None where that is not known."""
        if (cleared := self.first(product, hour)) is None:
            return None
        return Award(
            source="backtest",
            known_at=cleared.known_at,
            obligation=contract,
            product=product,
            market=DAY_AHEAD,
            over=hour,
            mw=mw,
            mcpc_usd_per_mw_h=cleared.usd_per_mw_h,
        )


def offered_awards(setup: Setup, market: MarketFacts, cleared: ClearingPrices, risk_weight: float = 0.0) -> Awards:
    """What this product's offers are awarded. Those of an operating day are made one settlement interval before they are due, with every
    rig on, from the facts known by then and the awards of the days before. Raises SolveError."""
    known = [fact.known_at for fact in market.facts]
    state, taken, awards, told = State.start(setup, setup_from_document), 0, list[Award](), 0
    fleet = {g.name: _all_on(g) for g in setup.site.groups}
    for day in _days(setup, market):
        at = _offered_at(setup, day)
        until = bisect_right(known, at)
        facts = (*market.facts[taken:until], *awards[told:])
        taken, told = until, len(awards)
        state = state.after(Seen(at=at, facts=facts, fleet=fleet), state.seq + 1)
        try:
            offers = offered_reserve(Offering(state, at, day.on, Proof(setup.site), risk_weight, REGULATION))
        except UnknownPrice:  # the archive begins later: nothing could be offered
            continue
        awards += _accepted(setup, cleared, offers)
    return tuple(awards)


def _days(setup: Setup, market: MarketFacts) -> list[OperatingDay]:
    """The operating days of a part that have offers due."""
    found, day = [], OperatingDay.of(setup.site.market, market.over.start)
    while day.start < market.over.end:
        found.append(day)
        day = OperatingDay(day.market, day.on + timedelta(days=1))
    return found


def _offered_at(setup: Setup, day: OperatingDay) -> datetime:
    due = offers_due(setup.rules.dated(), day.market, day.on)
    return due.astimezone(UTC) - timedelta(minutes=setup.site.market.settlement_min)


def _all_on(group: RigGroup) -> GroupSeen:
    mode = group.full
    return GroupSeen(rigs=group.rigs, reachable=group.rigs, load_mw=group.rigs * mode.watts / 1e6, hashrate_ph=group.rigs * mode.ths / 1e3)


def _accepted(setup: Setup, cleared: ClearingPrices, offers: Sequence[ReserveOffer]) -> Iterable[Award]:
    """What an operating day's offers are awarded. A step costs the same in every product, and each of its MW clears in the one that pays
    most: an ERCOT offer is of the same MW in several products (External Web Services, Ancillary Service Offer, OnLineReserves)."""
    for contract in setup.book:
        room_mw = {product: terms.most_mw for product, terms in contract.award_terms(setup.site).items() if product not in REGULATION}
        steps: dict[Interval, list[tuple[float, float]]] = {}
        for hour in (hour for offer in offers if offer["contract"] == contract.name for hour in offer["hours"]):
            steps.setdefault(Interval(parse_instant(hour["start"]), parse_instant(hour["end"])), []).extend(_parts(hour))
        for over, parts in steps.items():
            yield from _best_paid(cleared, contract.name, over, parts, room_mw)


def _parts(offered: OfferedHour) -> Iterable[tuple[float, float]]:
    """The steps of an hour as (usd_per_mw_h, MW of that step alone)."""
    before = 0.0
    for step in offered["steps"]:
        yield step["usd"], step["mw"] - before
        before = step["mw"]


def _best_paid(
    cleared: ClearingPrices, contract: str, over: Interval, parts: Iterable[tuple[float, float]], room_mw: Mapping[str, float]
) -> Iterable[Award]:
    """The awards of an hour: the cheapest parts first, each in the product that clears highest and has room, at no less than its price."""
    room = dict(room_mw)
    usd = {product: found.usd_per_mw_h for product in room if (found := cleared.first(product, over)) is not None}
    by_price, taken = sorted(usd, key=lambda product: (-usd[product], product)), dict.fromkeys(usd, 0.0)
    for price, mw in sorted(parts):
        for product in by_price:
            if usd[product] >= price and (here := min(mw, room[product])) > 0:
                taken[product], room[product], mw = taken[product] + here, room[product] - here, mw - here
    for product, mw in taken.items():
        if mw >= LEAST_MW and (award := cleared.award(contract, product, over, mw)) is not None:
            yield award


def foreseen_awards(setup: Setup, market: MarketFacts, cleared: ClearingPrices, solver: Solver | None = None) -> Awards:
    """What perfect foresight sells: the most that its plan over final prices, those of the day-ahead market included, carries in an hour.
    Raises SolveError when no solver finds that plan."""
    session, awards = solver or Session(), list[Award]()
    for day in _days(setup, market):
        over = Interval(max(day.start, market.grid.start), min(day.end + FORESEEN_AFTER_DAY, market.grid.end))
        ahead = part_of(market.final, over)
        sold = sorted({p for o in setup.book for p in o.reserve_products()} - REGULATION)
        prices = {priced_as(p): np.nan_to_num(cleared.on(p, ahead.grid), nan=0.0) for p in sold}
        reserve = {product: Series(ahead.grid, usd, "usd_per_mw_h") for product, usd in prices.items()}
        so_far = SoFar(at=_offered_at(setup, day), awards=tuple(awards))
        made = perfect_foresight(setup.site, setup.book, replace(ahead, reserve=reserve), so_far, session=session)
        for (contract, product), mw in made.origin.path.offers.items():
            if product not in REGULATION:
                awards += _carried_by_hour(cleared, (contract, product), ahead.grid, mw, Interval(over.start, day.end))
    return tuple(awards)


def _carried_by_hour(cleared: ClearingPrices, sold: tuple[str, str], grid: Grid, carried_mw: Floats, over: Interval) -> Iterable[Award]:
    """An award for each hour of `over` of the most MW that is carried within it."""
    starts = [i for i, edge in enumerate(grid.edges[:-1]) if over.start.timestamp() <= edge < over.end.timestamp()]
    for stamp, of_hour in groupby(starts, key=lambda i: int(grid.edges[i]) // 3600):
        start = datetime.fromtimestamp(stamp * 3600, UTC)
        mw = float(carried_mw[list(of_hour)].max())
        if mw >= LEAST_MW and (award := cleared.award(*sold, Interval(start, start + HOUR), mw)) is not None:
            yield award
