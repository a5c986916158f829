"""What the last real-time price says of the next hour, where neither the market nor a price model says what comes. Pure.

A price soon returns to where it came from. That is the day-ahead price on most days; on a day on which the day-ahead market was wrong for
hours it is the day-ahead price moved by its error of late. Both figures were chosen on past prices (docs/reference/foresight.md).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.factbook import FactBook
from markets.grid import Grid

Floats = NDArray[np.float64]

# After so long 37 % are left of how far the last price is from where it returns to.
RETURNS_IN = timedelta(minutes=20)
# The error of the day-ahead price is its median over so long: one interval's spike does not move it.
ERROR_OVER_H = 1.0
LEAST_PRICES = 3  # of fewer the median may be that one spike


def last_price_ahead(book: FactBook, point: str, day_ahead: Floats, at: datetime, grid: Grid) -> Floats:
    """The newest real-time price of a point now, and from there on its way to the day-ahead price (usd_per_mwh, shape (n,), NaN where it is
    not known) moved by the error of the last hour, shape (n,); the newest price where the day-ahead price is not known. The book has a
    real-time price of the point."""
    last_usd = book.recent(point, ERROR_OVER_H)[-1].usd_per_mwh
    minutes = np.maximum(0.0, grid.edges[:-1] - at.timestamp()) / 60.0
    left = np.exp(-minutes / (RETURNS_IN / timedelta(minutes=1)))
    return np.where(np.isnan(day_ahead), last_usd, left * last_usd + (1.0 - left) * (day_ahead + day_ahead_error(book, point)))


def day_ahead_error(book: FactBook, point: str) -> float:
    """How far real-time prices of a point were above the day-ahead price of their hour, the median over the last hour that has prices,
    usd_per_mwh. None is assumed where fewer than three of these prices have a day-ahead price to stand beside."""
    prices = book.recent(point, ERROR_OVER_H)
    ahead = [next((a for a in book.dam(point, price.over) if price.over.start in a.over), None) for price in prices]
    found = [price.usd_per_mwh - a.usd_per_mwh for price, a in zip(prices, ahead, strict=True) if a is not None]
    return float(np.median(found)) if len(found) >= LEAST_PRICES else 0.0
