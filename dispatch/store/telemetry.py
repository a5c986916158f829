"""Telemetry: watts and hashrate of each rig, in hourly zstd parquet; each flush writes one file, completely or not at all, and the files of
an hour that is over are merged into one (telemetry_hours.py).

A part lies in `YYYY-MM-DDTHH/` (the UTC hour of its readings) and has the columns at (epoch s), group, rig (position in its group), watts,
ths and why. Written are whole milliseconds, milliwatts and gigahashes a second, so sums of them are exact; NaN says the rig did not answer.
Between two rows a rig did not change by more than the deadband. `rollups.py` says how energy follows from the rows.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import structlog
from numpy.typing import ArrayLike, NDArray

from dispatch.store.durable import sync_folder
from dispatch.store.rollups import HOLD_S, Rollup, roll_up
from dispatch.store.telemetry_hours import parts_of
from markets.grid import Grid, Interval
from optimizer.domain.site import Site

log = structlog.get_logger()

DEADBAND = 0.005
HEARTBEAT_S = 3600.0
LOOK_BACK_FIRST_S = 7200.0
ROWS_AT_MOST = 500_000
DAY_S = 86400

Floats = NDArray[np.float64]

SCHEMA = {"at": pl.Float64, "group": pl.String, "rig": pl.Int32, "watts": pl.Float64, "ths": pl.Float64, "why": pl.String}


class _Last:
    """The last row written of each rig of a group."""

    def __init__(self, rigs: int) -> None:
        self.at = np.full(rigs, -np.inf)
        self.watts = np.full(rigs, np.nan)
        self.ths = np.full(rigs, np.nan)

    def news(self, at: Floats, rigs: NDArray[np.int64], watts: Floats, ths: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which readings must be written: changed by more than the deadband, silent, answering again, or an hour after the last row."""
        was = self.at[rigs]
        moved = _moved(watts, self.watts[rigs]) | _moved(ths, self.ths[rigs]) | (at - was >= HEARTBEAT_S)
        news: NDArray[np.bool_] = (at > was) & moved
        return news

    def keep(self, at: Floats, rigs: NDArray[np.int64], watts: Floats, ths: Floats) -> None:
        self.at[rigs], self.watts[rigs], self.ths[rigs] = at, watts, ths


def _read(hour: Path, wanted: pl.Expr) -> pl.DataFrame:
    """The wanted rows of an hour; none of one that cannot be read, which is logged."""
    for again in (True, False):
        parts = parts_of(hour)
        try:
            return pl.scan_parquet(parts).filter(wanted).collect() if parts else pl.DataFrame(schema=SCHEMA)
        except (pl.exceptions.PolarsError, OSError) as fault:  # parts that were merged while they were read are listed anew
            if not again:
                log.error("Telemetry cannot be read: the hour counts as not read.", hour=hour.name, error=str(fault)[:300])
    return pl.DataFrame(schema=SCHEMA)


def _thousandths(values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    rounded: Floats = np.around(np.asarray(values, dtype=np.float64), 3).astype(np.float64)
    return np.broadcast_to(rounded, shape)


def _moved(now: Floats, was: Floats) -> NDArray[np.bool_]:
    moved: NDArray[np.bool_] = (np.isnan(now) != np.isnan(was)) | (np.abs(now - was) > DEADBAND * np.abs(was))
    return moved


class Telemetry:
    """The readings of a site's rigs under `folder`. One process writes; any number read what was flushed."""

    def __init__(self, folder: Path, site: Site) -> None:
        self._folder = Path(folder)
        self._site = site
        self._last = {g.name: _Last(g.rigs) for g in site.groups}
        self._rows: list[pl.DataFrame] = []
        self._waiting = 0
        self._part: dict[Path, int] = {}
        self._left_out: frozenset[str] = frozenset()

    @property
    def folder(self) -> Path:
        """Where the hours lie."""
        return self._folder

    def without(self, hours: Iterable[str]) -> Telemetry:
        """The same folder for reading, as if these hours (2026-08-20T16) were not there: those that do not have their hash."""
        reader = Telemetry(self._folder, self._site)
        reader._left_out = frozenset(hours)
        return reader

    def read_as(self, site: Site) -> Telemetry:
        """The same folder for reading, with the groups of another site file: the one in force when the rows were written."""
        return Telemetry(self._folder, site)

    def record(self, at_s: ArrayLike, group: str, rigs: ArrayLike, watts: ArrayLike, ths: ArrayLike, why: str) -> int:
        """Take readings of rigs of one group, one a rig, arrays of one length (`at_s` epoch seconds, or one for all).

        NaN where a rig was silent. Returns how many are news and will be written by the next `flush`. A reading not newer than the
        rig's last row is dropped.
        """
        last = self._last[group]
        rig = np.asarray(rigs, dtype=np.int64)
        at, w, h = (_thousandths(a, rig.shape) for a in (at_s, watts, ths))
        news = last.news(at, rig, w, h)
        at, rig, w, h = at[news], rig[news], w[news], h[news]
        if not len(rig):
            return 0
        last.keep(at, rig, w, h)
        rows = {"at": at, "group": np.full(len(rig), group), "rig": rig, "watts": w, "ths": h, "why": np.full(len(rig), why)}
        self._rows.append(pl.DataFrame(rows, schema=SCHEMA))
        self._waiting += len(rig)
        if self._waiting >= ROWS_AT_MOST:
            self.flush()
        return len(rig)

    def flush(self) -> int:
        """Write the waiting rows; they are durable when this returns. Returns their number. Raises OSError and keeps them waiting."""
        rows, self._rows = self._rows, []
        self._waiting = 0
        if not rows:
            return 0
        hours = pl.concat(rows).with_columns(hour=(pl.col("at") // 3600).cast(pl.Int64)).partition_by("hour", include_key=True)
        for done, part in enumerate(hours):
            try:
                self._write(self._hour(int(part["hour"][0])), part.drop("hour"))
            except OSError:
                self._rows = [p.drop("hour") for p in hours[done:]] + self._rows
                self._waiting = sum(map(len, self._rows))
                raise
        return sum(map(len, hours))

    def _hour(self, hour: int) -> Path:
        return self._folder / f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%H}"

    def _write(self, folder: Path, part: pl.DataFrame) -> None:
        if folder not in self._part:
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
            sync_folder(self._folder)
            self._part = {folder: max((int(f.name[:6]) for f in folder.glob("*.parquet")), default=0)}
        number = self._part[folder] + 1
        # The random end keeps a paused former leader from writing over a part of its successor.
        name = f"{number:06d}-{secrets.token_hex(4)}"
        packed = BytesIO()
        part.write_parquet(packed, compression="zstd")
        unfinished = folder / f".{name}.tmp"
        try:
            with unfinished.open("wb") as file:
                file.write(packed.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(folder / f"{name}.parquet")
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(folder)
        self._part[folder] = number

    def readings(self, over: Interval, groups: Iterable[str] | None = None) -> pl.DataFrame:
        """The rows written in [start, end), columns as in the files, in the order they were written."""
        return self._between(over.start.timestamp(), over.end.timestamp(), groups)

    def _between(self, start_s: float, end_s: float, groups: Iterable[str] | None = None) -> pl.DataFrame:
        hours = (self._hour(hour) for hour in range(int(start_s // 3600), int(-(-end_s // 3600))))
        wanted = (pl.col("at") >= start_s) & (pl.col("at") < end_s)
        if groups is not None:
            wanted &= pl.col("group").is_in(list(groups))
        return pl.concat([pl.DataFrame(schema=SCHEMA), *(_read(hour, wanted) for hour in hours if hour.name not in self._left_out)])

    def rollup(self, over: Interval, step_min: int) -> list[Rollup]:
        """Energy and hashing of each group over each step of `over` (whole milliseconds; steps of at most an hour), by group and start."""
        if not 1 <= step_min <= 60:
            raise ValueError(f"a roll-up step is 1 to 60 minutes, not {step_min}")
        self.flush()
        steps = Grid.regular(over.start, over.end, step_min).edges
        per_day = DAY_S // (step_min * 60)
        out: list[Rollup] = []
        for first in range(0, len(steps) - 1, per_day):
            edges = steps[first : first + per_day + 1]
            rows = self._holding(float(edges[0]), float(edges[-1]))
            for group in self._site.groups:
                out += roll_up(group.name, group.rigs, rows.filter(pl.col("group") == group.name), edges)
        return sorted(out, key=lambda r: (r.group, r.over.start))

    def _holding(self, start_s: float, end_s: float) -> pl.DataFrame:
        """The rows of a span and those before it that still hold: of two hours when every rig was read then, else of HOLD_S."""
        rows = self._between(start_s - LOOK_BACK_FIRST_S, end_s)
        good = (pl.col("at") < start_s) & pl.col("watts").is_not_nan() & pl.col("ths").is_not_nan()
        if rows.filter(good).select("group", "rig").n_unique() < sum(g.rigs for g in self._site.groups):
            rows = self._between(start_s - HOLD_S, end_s)
        return rows
