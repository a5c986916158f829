"""What the price model earns on real years: the share of perfect foresight over always-on, beside the last price. No physics.

    python bench/forecast.py DATA_FOLDER [--year 2024 ...] [--json]

The fleet is thirds of three models at their break-even of the day's hashprice, deciding each quarter hour of HB_WEST on prices known at
its start. A year is decided by models trained on the time before it only; 2020 begins from nothing, a new model each month.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from dispatch.training.train import TooLittleData, train
from markets.forecasting.price_features import PriceHistory, features
from markets.forecasting.price_model import PriceModel
from markets.grid import Market

POINT = "HB_WEST"
J_PER_TH = (29.5, 21.5, 17.5)  # Antminer S19j Pro, S19 XP, S21
SINGLE = (40.0, 60.0, 90.0)
STEP_S = 900
DELAY = 2 / 15  # the share of a quarter hour that passes before the price of the one before is published


def history(folder: Path) -> PriceHistory:
    real, ahead = (
        pl.read_parquet(folder / name).select(pl.col("interval_start_utc").dt.epoch("s"), pl.col(POINT).cast(pl.Float64).round(2))
        for name in ("ercot_rt_spp_15min_hubs_2020_2024.parquet", "ercot_dam_spp_hourly_lz_hb_2019_2025.parquet")
    )
    start = int(real["interval_start_utc"].min())  # type: ignore[arg-type]
    n = (int(real["interval_start_utc"].max()) - start) // STEP_S + 1  # type: ignore[arg-type]
    values = [np.full(n, np.nan), np.full(n, np.nan)]
    for k, (frame, times) in enumerate(((real, 1), (ahead, 4))):
        kept = frame.unique("interval_start_utc", keep="first")
        at = (kept["interval_start_utc"].to_numpy() - start) // STEP_S
        for step in range(times):
            inside = (at + step >= 0) & (at + step < n)
            values[k][(at + step)[inside]] = kept[POINT].to_numpy()[inside]
    return PriceHistory.of(start, STEP_S, values[0], values[1], Market.ERCOT)


def until(past: PriceHistory, row: int) -> PriceHistory:
    return PriceHistory.of(past.start_s, STEP_S, past.real_time[:row], past.day_ahead[:row], Market.ERCOT)


def break_evens(folder: Path, past: PriceHistory) -> np.ndarray:
    """By model and quarter hour, usd_per_mwh, shape (3, n)."""
    days = pl.read_csv(folder / "btc_daily.csv.gz", try_parse_dates=True)
    usd = dict(zip(days["date"].to_list(), days["hashprice_usd_per_ph_day_realised"].to_list(), strict=True))
    starts = past.start_s + STEP_S * np.arange(len(past.real_time))
    by_day = {d: usd.get(datetime.fromtimestamp(int(d) * 86_400, UTC).date()) for d in np.unique(starts // 86_400)}
    hashprice = np.array([np.nan if by_day[d] is None else by_day[d] for d in starts // 86_400], dtype=np.float64)
    return np.stack([hashprice / (j * 0.024) for j in J_PER_TH])


def months_of(past: PriceHistory, year: int) -> np.ndarray:
    """The month of each quarter hour of a year by the market's calendar, 0 outside it."""
    edges = [int(datetime(year + m // 12, m % 12 + 1, 1, tzinfo=Market.ERCOT.tz).timestamp()) for m in range(13)]
    starts = past.start_s + STEP_S * np.arange(len(past.real_time))
    month = np.searchsorted(edges, starts, side="right")
    return np.where(month > 12, 0, month)


def trained_for(past: PriceHistory, month: np.ndarray, year: int) -> Iterator[tuple[np.ndarray, PriceModel | None]]:
    """The rows of a year and the model that decides them: one for the year, in 2020 one for each month."""
    parts = [month == m for m in range(1, 13)] if year == 2020 else [month > 0]
    for part in parts:
        try:
            model = train(until(past, int(np.argmax(part))), POINT, Market.ERCOT)
        except TooLittleData:
            model = None
        yield part, model if model is not None and model.about["accepted"] else None


def expected_prices(past: PriceHistory, month: np.ndarray, year: int) -> np.ndarray:
    last = np.concatenate(([np.nan], past.real_time[:-1]))
    expected = last.copy()
    for part, model in trained_for(past, month, year):
        rows = np.flatnonzero(part & np.isfinite(past.real_time))
        if model is not None:
            expected[rows] = model.decision_prices(features(past, rows))
    return expected


def scored(price: np.ndarray, edge: np.ndarray, expected: np.ndarray, delayed: bool) -> tuple[float, float, float, np.ndarray]:
    """Gains of the strategy, of perfect foresight and of always-on, $/MWh summed, and of the strategy by quarter hour."""
    runs = (np.isnan(expected) | (expected < edge)).astype(np.float64)
    if delayed:
        runs = (1 - DELAY) * runs + DELAY * np.concatenate(([1.0], runs[:-1]))
    gain = edge - price
    known = np.isfinite(gain)
    return (
        float((gain * runs)[known].sum()),
        float(np.maximum(gain, 0)[known].sum()),
        float(gain[known].sum()),
        np.where(known, gain * runs, 0.0),
    )


def year_figures(past: PriceHistory, edges: np.ndarray, year: int) -> dict[str, object]:
    month = months_of(past, year)
    rows = np.flatnonzero((month > 0) & np.isfinite(past.real_time))
    last = np.concatenate(([np.nan], past.real_time[:-1]))
    price, deciding = past.real_time[rows], {"model": expected_prices(past, month, year)[rows], "last_price": last[rows]}
    figures: dict[str, object] = {}
    by_month: dict[str, np.ndarray] = {}
    best = sum(np.maximum(np.nan_to_num(edge[rows] - price), 0) for edge in edges)
    for name, expected in deciding.items():
        for delayed in (False, True):
            parts = [scored(price, edge[rows], expected, delayed) for edge in edges]
            took, perfect, always = (sum(part[k] for part in parts) for k in range(3))
            figures[f"{name}{'_two_minutes_late' if delayed else ''}"] = round((took - always) / (perfect - always), 4)
            if not delayed:
                by_month[name] = sum(part[3] for part in parts)  # type: ignore[assignment]
        for single in SINGLE:
            took, perfect, always, _ = scored(price, np.full(len(price), single), expected, False)
            figures[f"{name}_{single:g}"] = round((took - always) / (perfect - always), 4)
    lags = [
        float((by_month["model"] - by_month["last_price"])[month[rows] == m].sum() / max(best[month[rows] == m].sum(), 1.0))
        for m in range(1, 13)
        if (month[rows] == m).any()
    ]
    figures["worst_month"] = round(min(lags), 4)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--year", type=int, action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    past = history(options.folder)
    edges, found = break_evens(options.folder, past), {}
    for year in options.year or (2022, 2024, 2020):
        began = time.perf_counter()
        found[str(year)] = {**year_figures(past, edges, year), "seconds": round(time.perf_counter() - began, 1)}
        print(year, *(f"{name} {figure}" for name, figure in found[str(year)].items()), flush=True)
    if options.json:
        print(json.dumps({"capture": found}))


if __name__ == "__main__":
    main()
