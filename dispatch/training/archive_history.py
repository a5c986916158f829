"""Prices of one point read from an archive for training: whole months as arrays, the newest vintage of each interval."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets.archive.archive import Archive
from markets.factbook import REAL_TIME, day_ahead_point
from markets.facts import PriceMarket
from markets.forecasting.price_features import PriceHistory
from markets.grid import Market

Floats = NDArray[np.float64]


def archived_history(archive: Archive, point: str, known_by: datetime | None = None) -> tuple[PriceHistory, Market]:
    """The prices of a point, those known by an instant where one is given, and the market that it belongs to. Gaps stay without a value.
    Raises LookupError, naming the points there are, when the archive has no real-time price of it by then."""
    rows = archive.read("price", sorted({point, day_ahead_point(point)}))
    if known_by is not None:
        rows = rows.filter(pl.col("known_at") <= known_by)
    real = rows.filter(pl.col("key") == point)
    runs = [run.value for run in REAL_TIME if real.filter(pl.col("market") == run.value).height]
    if not runs:
        raise LookupError(f"the archive has no real-time price of {point}; it has {', '.join(_points(archive)) or 'no prices'}")
    real = _newest(real.filter(pl.col("market") == runs[0]))
    ahead = _newest(rows.filter(pl.col("key") == day_ahead_point(point), pl.col("market") == PriceMarket.DAY_AHEAD_HOURLY.value))
    market = Market(real["iso"][0])
    step_s = int((real["end"] - real["start"]).dt.total_seconds().mode()[0])
    start_s = int(real["start"].dt.epoch("s")[0]) // 3600 * 3600
    n = -(-(int(real["end"].dt.epoch("s").max()) - start_s) // step_s)  # type: ignore[arg-type]
    return PriceHistory.of(start_s, step_s, _placed(real, start_s, step_s, n), _placed(ahead, start_s, step_s, n), market), market


def _newest(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("known_at").unique("start", keep="last").sort("start")


def _placed(rows: pl.DataFrame, start_s: int, step_s: int, n: int) -> Floats:
    values = np.full(n, np.nan)
    first = -(-(rows["start"].dt.epoch("s").to_numpy() - start_s) // step_s)
    last = (rows["end"].dt.epoch("s").to_numpy() - start_s) // step_s
    for k in range(int((last - first).max()) if rows.height else 0):
        inside = (first + k < last) & (first + k >= 0) & (first + k < n)
        values[(first + k)[inside]] = rows["value"].to_numpy()[inside]
    return values


def _points(archive: Archive) -> list[str]:
    return sorted(archive.read("price")["key"].unique())
