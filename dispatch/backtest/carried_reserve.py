"""What a simulated load carried of its day-ahead awards of reserve: what it drew over sleep, and above the contract's floor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dispatch.backtest.market_facts import Floats
from markets.facts import Award
from optimizer.domain import reserve_awards
from optimizer.domain.actuals import Actuals
from optimizer.domain.obligation import Obligation
from optimizer.settlement.performance import TOLERANCE

SHORT_MW = 1e-6


def short_awards(book: Sequence[Obligation], actuals: Actuals, awards: tuple[Award, ...], celsius: Floats) -> tuple[Award, ...]:
    """Real-time awards of what was carried, without a price of their own, where it was less than was awarded day-ahead: of the load that
    could be dropped the dearest product has its part first. `celsius` is the outside air of each interval."""
    return tuple(award for contract in book for award in _short(contract, actuals, awards, celsius))


def not_carried(contract: Obligation, actuals: Actuals) -> NDArray[np.bool_]:
    """Where less was carried of a contract's day-ahead awards than was awarded, by more than meters err, shape (n,)."""
    found = np.zeros(len(actuals.grid), dtype=np.bool_)
    for product in contract.reserve_products():
        markets = (reserve_awards.DAY_AHEAD, reserve_awards.REAL_TIME)
        own = (reserve_awards.of(actuals.awards, contract.name, product, market) for market in markets)
        (awarded, _, _), (carried, _, told) = (reserve_awards.on(awards, actuals.grid, float) for awards in own)
        found |= told & np.asarray(carried < awarded * (1.0 - float(TOLERANCE)), dtype=np.bool_)
    return found


def as_if_carried(contract: Obligation, actuals: Actuals, where: NDArray[np.bool_]) -> Actuals:
    """The actuals as if a contract's awards had been carried in these intervals of the grid."""
    short = {over for over, here in zip(actuals.grid.intervals, where, strict=True) if here}

    def is_short(award: Award) -> bool:
        return award.obligation == contract.name and award.market == reserve_awards.REAL_TIME and award.over in short

    return replace(actuals, awards=tuple(award for award in actuals.awards if not is_short(award)))


def _short(contract: Obligation, actuals: Actuals, awards: tuple[Award, ...], celsius: Floats) -> Iterable[Award]:
    grid, terms = actuals.grid, contract.award_terms(actuals.site)
    floors = [terms[p].floor_mw for p in contract.reserve_products() if p in terms]
    day_ahead = {p: reserve_awards.of(awards, contract.name, p, reserve_awards.DAY_AHEAD) for p in contract.reserve_products()}
    sold = {p: reserve_awards.on(own, grid, float) for p, own in day_ahead.items() if own}
    if not sold:
        return
    floor_mw = max((mw for mw in floors if mw is not None), default=0.0)
    droppable = _droppable_mw(contract.scope.names(actuals.site), actuals, celsius, floor_mw)
    products = list(sold)
    mw, usd = (np.array([sold[p][k] for p in products], dtype=np.float64) for k in (0, 1))
    order = np.argsort(-np.nan_to_num(usd), axis=0, kind="stable")
    before = np.cumsum(np.take_along_axis(mw, order, axis=0), axis=0) - np.take_along_axis(mw, order, axis=0)
    carried = np.empty_like(mw)
    np.put_along_axis(carried, order, np.clip(droppable - before, 0.0, np.take_along_axis(mw, order, axis=0)), axis=0)
    for k, t in zip(*np.nonzero(carried < mw - SHORT_MW), strict=True):
        over = grid.intervals[t]
        yield Award(
            source="backtest",
            known_at=over.end,
            obligation=contract.name,
            product=products[k],
            market=reserve_awards.REAL_TIME,
            over=over,
            mw=float(carried[k, t]),
            mcpc_usd_per_mw_h=None,
        )


def _droppable_mw(groups: Sequence[str], actuals: Actuals, celsius: Floats, floor_mw: float) -> Floats:
    """What the groups drew over sleep, and over the floor, in each interval, MW, shape (n,)."""
    site, hours = actuals.site, np.asarray(actuals.grid.hours)
    load, asleep = np.zeros(len(hours)), np.zeros(len(hours))
    for name in groups:
        group, overhead = site.group(name), site.hall_of[name].overhead
        load += np.array([float(mwh) for mwh in actuals.energy_mwh[name]]) / hours
        asleep += group.rigs * group.asleep.watts / 1e6 * (1.0 + np.array([overhead.at(float(c)) for c in celsius]))
    return np.asarray(np.maximum(0.0, load - np.maximum(asleep, floor_mw)))
