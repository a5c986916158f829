"""A day's bill from the parquet files, the prices and the contract alone, in exact fractions. It uses no code of the program."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl

HOLD_MS = 24 * 3600 * 1000
MW_MS_PER_MWH = 3_600_000_000_000_000
GH_PER_PH_DAY = 86_400_000_000_000


def cents(exact: Fraction) -> Decimal:
    """Half up, away from zero, without Decimal's own rounding."""
    whole = (abs(exact) * 200 + 1) // 2
    return Decimal(int(whole) if exact >= 0 else -int(whole)) / 100


def integrals(folder: Path, group: str, column: str, spans: list[tuple[int, int]]) -> list[int]:
    """Of a group's rigs, the integral of milliwatts or gigahashes a second over each span of epoch milliseconds."""
    rows = pl.concat([pl.read_parquet(f) for f in sorted(folder.glob("*/*.parquet"))]).filter(pl.col("group") == group)
    by_rig: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for row in rows.sort("at", maintain_order=True).iter_rows(named=True):
        if row["watts"] == row["watts"] and row["ths"] == row["ths"]:  # a rig that is not read keeps its last reading
            by_rig[row["rig"]].append((round(row["at"] * 1000), round(row[column] * 1000)))
    totals = [0] * len(spans)
    for events in by_rig.values():
        for k, (since, value) in enumerate(events):
            until = min(since + HOLD_MS, events[k + 1][0] if k + 1 < len(events) else since + HOLD_MS)
            for n, (start, end) in enumerate(spans):
                totals[n] += max(0, min(until, end) - max(since, start)) * value
    return totals
