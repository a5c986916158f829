"""Reserve awards by interval of a grid, as floats or Decimals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.facts import Award
from markets.grid import Grid
from markets.outlook import Outlook
from optimizer.domain.array_types import Numbers

DAY_AHEAD = "DAM"
REAL_TIME = "RT"
# What frequency relays and instructions carry of RRS is named apart in awards and offers, and paid at its price.
PRICED_AS = {"RRSFFR": "RRS", "RRSUFR": "RRS"}


def of(awards: Sequence[Award], obligation: str, product: str, market: str) -> list[Award]:
    """The awards of a product, the newest for each interval."""
    newest: dict[tuple[Any, Any], Award] = {}
    for award in sorted(awards, key=lambda a: a.known_at):
        if award.obligation == obligation and award.product == product and award.market == market:
            newest[(award.over.start, award.over.end)] = award
    return list(newest.values())


def on(awards: Iterable[Award], grid: Grid, number: Callable[[float], Any]) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
    """Time-weighted MW of each interval, their clearing price in $ per MW and hour (weighted by MW where several meet), and where there is
    an award at all, shape (n,) each."""
    n, edges = len(grid), grid.edges
    zero = number(0)
    mw, usd, price, seen = [zero] * n, [zero] * n, [zero] * n, np.zeros(n, dtype=bool)
    for award in awards:
        first, last = int(award.over.start.timestamp()), int(award.over.end.timestamp())
        inside = np.clip(np.minimum(edges[1:], last) - np.maximum(edges[:-1], first), 0, None)
        for t in np.flatnonzero(inside):
            whole = int(edges[t + 1] - edges[t])
            part = number(award.mw) if inside[t] == whole else number(award.mw) * number(int(inside[t])) / number(whole)
            mcpc = number(award.mcpc_usd_per_mw_h)
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
