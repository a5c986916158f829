"""Reserve awards by interval of a grid, as floats or Decimals."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.facts import Award
from markets.grid import Grid, Interval
from markets.outlook import Outlook
from optimizer.domain.array_types import Numbers

DAY_AHEAD = "DAM"
REAL_TIME = "RT"
# The supplemental ancillary-services market, in which reserve that failed was bought again before RTC+B.
SUPPLEMENTAL = "SASM"
# The product of an award of energy: bought a day ahead by a load, or a reduction that is dispatched.
ENERGY = "ENERGY"
# What frequency relays and instructions carry of RRS is named apart in awards and offers, and paid at its price.
PRICED_AS = {"RRSFFR": "RRS", "RRSUFR": "RRS"}
HALF_A_CENT_USD = 0.005


def of(awards: Sequence[Award], obligation: str, product: str, market: str) -> list[Award]:
    """The awards of a product, in order of time and without overlaps: where two overlap, the one received later holds. An award that is
    sent again, in these intervals or in others, is therefore paid once."""
    held: list[Award] = []
    for award in sorted(awards, key=lambda a: a.known_at):
        if award.obligation == obligation and award.product == product and award.market == market:
            first = bisect_right(held, award.over.start, key=lambda a: a.over.end)
            last = bisect_left(held, award.over.end, key=lambda a: a.over.start)
            rest = [part for earlier in held[first:last] for part in _outside(earlier, award.over)]
            held[first:last] = sorted([*rest, award], key=lambda a: a.over.start)
    return held


def at_published_prices(awards: Iterable[Award], published: Callable[[Award], Iterable[tuple[Interval, float]]]) -> tuple[Award, ...]:
    """The awards at the prices that the market published, by interval, for each; where it published none yet, at the price each came with.
    A price that is the published one to the cent is left as it is."""
    out: list[Award] = []
    for award in awards:
        left = [award]
        for over, usd in published(award):
            here = [part for part in left if part.over.overlaps(over)]
            left = [part for part in left if part not in here] + [rest for part in here for rest in _outside(part, over)]
            out += [replace(part, over=_shared(part.over, over), mcpc_usd_per_mw_h=_paid(part, usd)) for part in here]
        out += left
    return tuple(sorted(out, key=lambda a: a.known_at))


def _paid(award: Award, published_usd: float) -> float:
    came_with = award.mcpc_usd_per_mw_h
    return published_usd if came_with is None or differs(came_with, published_usd) else came_with


def differs(usd: float, published_usd: float) -> bool:
    """Whether a price is not the published one to the cent."""
    return abs(usd - published_usd) > HALF_A_CENT_USD


def with_expected_prices(awards: tuple[Award, ...], outlook: Outlook) -> tuple[Award, ...]:
    """For a plan: awards whose price is not known at the outlook's price of their product, by interval of its grid."""
    if all(a.mcpc_usd_per_mw_h is not None for a in awards):
        return awards

    def foreseen(award: Award) -> list[tuple[Interval, float]]:
        if award.mcpc_usd_per_mw_h is not None:
            return []
        return list(zip(outlook.grid.intervals, map(float, expected(outlook, award.product)), strict=True))

    priced = at_published_prices(awards, foreseen)
    return tuple(a for a in priced if a.mcpc_usd_per_mw_h is not None)


def _shared(one: Interval, other: Interval) -> Interval:
    return Interval(max(one.start, other.start), min(one.end, other.end))


def _outside(award: Award, over: Interval) -> list[Award]:
    """The parts of an award before and after an interval that it overlaps."""
    start, end = award.over.start, award.over.end
    kept = [(start, over.start)] if start < over.start else []
    kept += [(over.end, end)] if over.end < end else []
    return [replace(award, over=Interval(a, b)) for a, b in kept]


def on(awards: Iterable[Award], grid: Grid, number: Callable[[float], Any]) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Time-weighted MW of each interval, their clearing price in $ per MW and hour (weighted by MW where several meet, NaN where one is not
    known), and where there is an award at all, shape (n,) each."""
    n, edges, zero = len(grid), grid.edges.tolist(), number(0)
    begins, ends = edges[0], edges[-1]
    mw, usd, price, seen = [zero] * n, [zero] * n, [zero] * n, np.zeros(n, dtype=bool)
    for award in awards:
        first, last = int(award.over.start.timestamp()), int(award.over.end.timestamp())
        if last <= begins or first >= ends:
            continue
        for t in range(max(0, bisect_right(edges, first) - 1), min(n, bisect_left(edges, last))):
            whole, inside = edges[t + 1] - edges[t], min(edges[t + 1], last) - max(edges[t], first)
            part = number(award.mw) if inside == whole else number(award.mw) * number(inside) / number(whole)
            mcpc = number(float("nan") if award.mcpc_usd_per_mw_h is None else award.mcpc_usd_per_mw_h)
            mw[t], usd[t] = mw[t] + part, usd[t] + part * mcpc
            price[t] = mcpc if not seen[t] or mcpc == price[t] else usd[t] / mw[t] if mw[t] else mcpc
            seen[t] = True
    return _array(mw, number), _array(price, number), seen


def _array(values: Sequence[Any], number: Callable[[float], Any]) -> Numbers:
    out = np.empty(len(values), dtype=np.float64 if number is float else object)
    out[:] = values
    return out


def priced_as(product: str) -> str:
    """The product whose clearing price pays for it: ERCOT clears every kind of RRS at one price (Nodal Protocols 4.5.1)."""
    return PRICED_AS.get(product, product)


def expected(outlook: Outlook, product: str) -> NDArray[np.float64]:
    """The outlook's price of a product, usd_per_mw_h; zero where it has none: reserve of an unknown price earns nothing in a plan."""
    series = outlook.reserve.get(priced_as(product))
    return np.zeros(len(outlook.grid)) if series is None else np.nan_to_num(series.values, nan=0.0)


def real_time_price(
    awards: Sequence[Award], obligation: str, product: str, grid: Grid, otherwise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The price of real-time awards where there are some, else `otherwise`, usd_per_mw_h, shape (n,)."""
    told = of(awards, obligation, product, REAL_TIME)
    if not told:
        return otherwise
    _, price, seen = on(told, grid, float)
    return np.asarray(np.where(seen, price, otherwise))


def carried(
    awards: Sequence[Award], offers: Mapping[tuple[str, str], Numbers], prices: Mapping[str, Numbers], grid: Grid
) -> tuple[Award, ...]:
    """A plan's reserve as real-time awards, in place of those that are already there and at their prices where there are some."""
    zero = np.zeros(len(grid))
    priced = {(o, p): real_time_price(awards, o, p, grid, np.asarray(prices.get(priced_as(p), zero), dtype=np.float64)) for o, p in offers}
    kept = [a for a in awards if a.market != REAL_TIME or (a.obligation, a.product) not in offers]
    made = [
        Award(
            source="plan",
            known_at=grid.start,
            obligation=obligation,
            product=product,
            market=REAL_TIME,
            over=over,
            mw=float(mw[t]),
            mcpc_usd_per_mw_h=float(priced[(obligation, product)][t]),
        )
        for (obligation, product), mw in offers.items()
        for t, over in enumerate(grid.intervals)
    ]
    return (*kept, *made)


def sold_ahead(
    offers: Mapping[tuple[str, str], Numbers], where: Mapping[tuple[str, str], NDArray[np.bool_]], outlook: Outlook
) -> tuple[Award, ...]:
    """A plan's reserve as day-ahead awards at the expected price, in the intervals in which it is taken as sold (`where`)."""
    return tuple(
        Award(
            source="plan",
            known_at=outlook.at,
            obligation=obligation,
            product=product,
            market=DAY_AHEAD,
            over=outlook.grid.intervals[t],
            mw=float(offers[(obligation, product)][t]),
            mcpc_usd_per_mw_h=float(expected(outlook, product)[t]),
        )
        for (obligation, product), sold in where.items()
        if (obligation, product) in offers
        for t in np.flatnonzero(sold & (np.asarray(offers[(obligation, product)]) > 0))
    )
