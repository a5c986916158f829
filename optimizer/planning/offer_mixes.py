"""Prices of offers that are paid whatever mix of them is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from optimizer.domain.array_types import Floats
from optimizer.planning.offer_rows import Key, OfferRows
from optimizer.solve.lexicographic import ANSWERED, NO_LIMIT_S, Solver

Steps = NDArray[np.int64]

# From each beginning so many mixes are tried; some beginnings have so many intervals in a row.
MIXES_TRIED = 6
IN_A_ROW = (1, 2, 3, 4, 8)
SMALL_USD = 1e-6


def paid_whatever_is_accepted(
    rows: OfferRows,
    steps: Mapping[Key, Floats],
    usd: Mapping[Key, Floats],
    real_time: Mapping[Key, Floats],
    without: float,
    solver: Solver,
) -> dict[Key, Floats]:
    """The prices, raised where a mix of accepted steps would be paid less than it costs. Mixes are searched from several beginnings: each
    time the steps whose last MW costs the most beyond its price are accepted next. The cost is convex in what is accepted, so that a mix
    paid at what its last megawatts cost is paid enough; where integers make it otherwise, all of the mix is raised alike.

    steps      MW up to the end of each step, and `usd` their prices so far, shape (steps, n)
    real_time  what real time pays for each MW, usd_per_mw_h, shape (n,)
    without    the program's objective with nothing accepted
    """
    hours, n = rows.program.hours, rows.program.n
    ends = {key: np.vstack([np.zeros(n), mw]) for key, mw in steps.items()}  # the first: nothing is accepted
    prices = {key: np.vstack([np.zeros(n), np.maximum.accumulate(at, axis=0)]) for key, at in usd.items()}
    for mix in _mixes(ends):
        for _ in range(MIXES_TRIED):
            mwh = {key: _picked(ends[key], at) * hours for key, at in mix.items()}
            solution = solver.run(rows.at_least({key: e / hours for key, e in mwh.items()}), NO_LIMIT_S)
            if solution.status not in ANSWERED or not any(e.any() for e in mwh.values()):
                break
            last = {key: real_time[key] + np.maximum(0.0, -rows.dual_usd(key, solution)) for key in mix}
            cost = solution.objective - without + sum(float((real_time[key] * e).sum()) for key, e in mwh.items())
            _raise_to(cost, mix, mwh, last, prices)
            beyond = {key: (last[key] - prices[key]) * ends[key] for key in mix}
            following = {key: loss.argmax(axis=0) for key, loss in beyond.items()}
            if all((following[key] == mix[key]).all() for key in mix):
                break
            mix = following
    return {key: price[1:] for key, price in prices.items()}


def _raise_to(
    cost: float, mix: Mapping[Key, Steps], mwh: Mapping[Key, Floats], last: Mapping[Key, Floats], prices: dict[Key, Floats]
) -> None:
    """Raises the prices of the steps of a mix that costs more than it is paid, in place."""
    for more in ("what their last MW costs", "alike"):
        paid = sum(float((_picked(prices[key], at) * mwh[key]).sum()) for key, at in mix.items())
        if cost <= paid + SMALL_USD:
            return
        alike = (cost - paid) / sum(float(e.sum()) for e in mwh.values())
        for key, at in mix.items():
            old = _picked(prices[key], at)
            new = np.maximum(old, last[key]) if more != "alike" else old + alike
            np.put_along_axis(prices[key], at[None], np.where(mwh[key] > 0, new, old)[None], axis=0)
            prices[key] = np.maximum.accumulate(prices[key], axis=0)


def _picked(values: Floats, at: Steps) -> Floats:
    return np.asarray(np.take_along_axis(values, at[None], axis=0)[0])


def _mixes(ends: Mapping[Key, Floats]) -> Iterable[dict[Key, Steps]]:
    """Beginnings of the search, by product the step accepted in each interval: everything, each product, every other interval, each
    interval left out, and some intervals in a row."""
    offered = np.flatnonzero(sum(mw[-1] for mw in ends.values()) > 0)
    n = next(iter(ends.values())).shape[1]
    full = {key: np.full(n, len(mw) - 1) for key, mw in ends.items()}
    place = np.arange(n)
    yield dict(full)
    for sold in ends if len(ends) > 1 else ():
        yield {key: at * (key == sold) for key, at in full.items()}
    some = [place % 2 == 0, place % 2 == 1, *(place != t for t in offered)]
    some += [(place >= t) & (place < t + many) for many in IN_A_ROW for t in offered]
    for there in some:
        yield {key: at * there for key, at in full.items()}
