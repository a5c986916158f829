"""The archive: facts kept in Parquet by month. It imports tables and serves their facts again as a Source."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from markets import counted
from markets.archive.gridstatus_tables import native
from markets.archive.tablemap import mapped
from markets.archive.tables import ECONOMICS, GENERATION_KINDS, INDICATIVE_KINDS, KINDS, TableFault, open_table
from markets.archive.vintages import STORED, Gap, disagreements, economics_of, fact_of, gaps_of, merge, price_of, runs_of
from markets.factbook import day_ahead_point, hashprice_of
from markets.facts import Fact, HashEconomics, HashPrice, Price, PriceMarket
from markets.grid import Interval, Market, utc
from markets.quarantine.confirmation import believed_and_quarantined

OF_NO_MARKET = frozenset({*GENERATION_KINDS, "temperature"})  # a site's own plants and its weather belong to no market
MARKET_KINDS = frozenset(KINDS) - {"hash", *OF_NO_MARKET}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: `rows` of the table with a value, `facts` that were new among them, and `gaps` for the rows without a value."""

    file: str
    rows: int = 0
    facts: int = 0
    gaps: tuple[Gap, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """One series of the archive."""

    kind: str
    key: str
    market: str
    over: Interval
    intervals: int
    gaps: tuple[Gap, ...]
    corrected: int
    disputed: int


@dataclass(frozen=True, slots=True)
class Archive:
    """Facts under a folder: `KIND/YYYY-MM.parquet` by the month (UTC) an interval starts in, `hash.parquet` for daily hash economics."""

    folder: Path

    def import_file(
        self, path: Path | str, spec: Mapping[str, Any] | Path | str | None = None, market: Market | None = None
    ) -> ImportReport:
        """Import a table (CSV or Parquet); importing it again changes nothing. `spec` is a column map or its file; without one the columns
        are those of gridstatus. `market` is the market of system loads and load forecasts, which name none: without it and without the
        map's `iso` it is the only market the archive holds facts of. Raises TableFault when the file or the map is wrong or the market is
        not known, and then keeps nothing."""
        table = open_table(Path(path))
        table = replace(table, market=market.value if market else self._only_market())
        if isinstance(spec, str | Path):
            spec = read_map(Path(spec))
        frames = native(table) if spec is None else mapped(table, spec)
        report = ImportReport(table.name)
        for kind, frame in frames.items():
            part = self._import_economics(frame) if kind == "hash" else self._import_kind(kind, frame)
            report = ImportReport(
                table.name, report.rows + part.rows, report.facts + part.facts, report.gaps + part.gaps, report.findings + part.findings
            )
        return report

    def _import_kind(self, kind: str, frame: pl.DataFrame) -> ImportReport:
        if (bad := frame.filter((pl.col("end") <= pl.col("start")) | pl.col("start").is_null())).height:
            raise TableFault(f"{frame['source'][0]}: {counted(bad.height, 'row')} without an interval, the first at {bad['start'][0]}")
        gaps = () if frame["correction"].any() else tuple(gaps_of(kind, frame))  # a table of corrections is not a series
        given = frame.filter(pl.col("value").is_not_null())
        months = given.with_columns(pl.col("start").dt.strftime("%Y-%m").alias("month")).partition_by(
            "month", as_dict=True, include_key=False
        )
        new, disputes = 0, []
        for (month,), part in sorted(months.items()):
            path = self.folder / kind / f"{month}.parquet"
            old = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=STORED)
            merged, disputed = merge(kind, old, part)
            disputes.append(disputed)
            if merged.height > old.height:
                new += merged.height - old.height
                write(path, merged)
        findings = tuple(disagreements(kind, pl.concat(disputes))) if disputes else ()
        return ImportReport("", given.height, new, gaps, findings)

    def _import_economics(self, frame: pl.DataFrame) -> ImportReport:
        figures = [c for c in ECONOMICS if c not in ("on", "known_at", "source")]
        given = frame.drop_nulls(figures).unique("on", keep="first", maintain_order=True)
        old = self.read_hash()
        both = given.join(old, on="on", suffix="_old")
        differ = both.filter(pl.any_horizontal((pl.col(c) - pl.col(f"{c}_old")).abs() > 1e-9 * pl.col(c).abs() for c in figures)).sort("on")
        new = given.join(old, on="on", how="anti")
        if new.height:
            write(self.folder / "hash.parquet", pl.concat([old, new]).sort("on"))
        findings = []
        if differ.height:
            row = differ.row(0, named=True)
            findings.append(
                f"hash: {row['source']} and {row['source_old']} differ on {counted(differ.height, 'day')}, first {row['on']}; "
                "the first is served"
            )
        without = [
            Gap("hash", "", "", Interval(_midnight(on), _midnight(on) + timedelta(days=1)), 1)
            for on in sorted(set(frame["on"]) - set(given["on"]))
        ]
        days = given["on"].sort().to_list()
        holes = [
            Gap("hash", "", "", Interval(_midnight(a) + timedelta(days=1), _midnight(b)), (b - a).days - 1)
            for a, b in zip(days, days[1:], strict=False)
            if (b - a).days > 1 and not any(a < g.over.start.date() < b for g in without)
        ]
        return ImportReport("", given.height, new.height, tuple(without + holes), tuple(findings))

    def _only_market(self) -> str:
        """The market of all facts kept so far; empty when there are none or they are of several."""
        paths = [path for kind in sorted(MARKET_KINDS) for path in self.months(kind)]
        markets = {iso for path in paths for iso in pl.scan_parquet(path).select(pl.col("iso").unique()).collect()["iso"]}
        return markets.pop() if len(markets) == 1 else ""

    def months(self, kind: str) -> list[Path]:
        """The files of a kind, one for each month, in order of time."""
        return sorted((self.folder / kind).glob("????-??.parquet"))

    def read(self, kind: str, keys: Sequence[str] | None = None, over: Interval | None = None, disputed: bool = False) -> pl.DataFrame:
        """Rows of a kind, in order of key, market and start: of some keys and overlapping a span when given, with disputed rows only when
        `disputed` is set."""
        paths = self.months(kind)
        if over is not None:
            first, last = over.start - timedelta(days=1), over.end
            paths = [p for p in paths if f"{first:%Y-%m}" <= p.stem <= f"{last:%Y-%m}"]
        if not paths:
            return pl.DataFrame(schema=STORED)
        rows = pl.scan_parquet(paths)
        if keys is not None:
            rows = rows.filter(pl.col("key").is_in(list(keys)))
        if over is not None:
            rows = rows.filter(pl.col("end") > over.start, pl.col("start") < over.end)
        if not disputed:
            rows = rows.filter(~pl.col("disputed"))
        return rows.collect().sort("key", "market", "start", "known_at", maintain_order=True)

    def final_prices(
        self, point: str, markets: Iterable[PriceMarket], over: Interval, known_at: datetime | None = None
    ) -> tuple[Price, ...]:
        """Prices of a point inside a span, for settlement: of the first of `markets` that has any, the newest vintage known at
        `known_at` (of all when None) that can be believed. In order of time; an interval without a price is left out."""
        asked = list(markets)
        points = {point, day_ahead_point(point)}
        rows = self.read("price", sorted(points), over)
        if known_at is not None:
            rows = rows.filter(pl.col("known_at") <= utc(known_at))
        for market in asked:
            named = day_ahead_point(point) if market is PriceMarket.DAY_AHEAD_HOURLY else point
            vintages = rows.filter(pl.col("market") == market.value, pl.col("key") == named).iter_rows(named=True)
            believed, _ = believed_and_quarantined(price_of(row) for row in vintages)
            if newest := {price.over.start: price for price in believed}:
                return tuple(newest.values())
        return ()

    def read_hash(self) -> pl.DataFrame:
        """Daily hash economics as rows."""
        path = self.folder / "hash.parquet"
        return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=ECONOMICS)

    def economics(self, over: Interval | None = None) -> tuple[HashEconomics, ...]:
        """Daily hash economics, of the UTC days that start inside a span when given."""
        rows = self.read_hash()
        if over is not None:
            rows = rows.filter(
                pl.col("on") >= over.start.date(), pl.col("on") < (over.end - timedelta(microseconds=1)).date() + timedelta(days=1)
            )
        return tuple(economics_of(row) for row in rows.iter_rows(named=True))

    def hashprice_on(self, on: date) -> HashPrice | None:
        """The hashprice of a UTC day computed from its own economics, when these can be believed: what that day settles at."""
        start = _midnight(on)
        days, _ = believed_and_quarantined(self.economics(Interval(start, start + timedelta(days=1))))
        return hashprice_of(days[0], from_day=on) if days else None

    def show(self) -> tuple[Holding, ...]:
        """Every series of the archive: span, intervals, gaps, corrections, and rows that disagree with the one served."""
        held: list[Holding] = []
        for kind in KINDS[:-1]:
            frame = self.read(kind, disputed=True)
            for part in frame.partition_by("iso", "key", "market", maintain_order=True):
                held.append(_holding(kind, part))
        if days := self.economics():
            over = Interval(_midnight(days[0].on), _midnight(days[-1].on) + timedelta(days=1))
            held.append(Holding("hash", "", "", over, len(days), (), 0, 0))
        return tuple(held)


def read_map(path: Path) -> dict[str, Any]:
    """A map file. Raises TableFault."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableFault(f"{path.name}: cannot be read as TOML: {error}") from error


def _holding(kind: str, part: pl.DataFrame) -> Holding:
    served = part.filter(~pl.col("disputed"), ~pl.col("correction"))
    served = served if served.height else part
    return Holding(
        kind,
        part["key"][0],
        part["market"][0],
        Interval(*served.select(pl.col("start").min(), pl.col("end").max()).row(0)),
        served["start"].n_unique(),
        tuple(gaps_of(kind, served)),
        int(part.filter(~pl.col("disputed"))["correction"].sum()),
        int(part["disputed"].sum()),
    )


def write(path: Path, frame: pl.DataFrame) -> None:
    """Writes a file completely or not at all: to a temporary file, synced and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        frame.write_parquet(file, compression="zstd", statistics=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _midnight(on: date) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=UTC)


class ArchiveSource:
    """The archive as a Source: real-time prices of `points`, day-ahead prices where that market prices them, reserve prices, load and load
    forecast of one market, hash economics, and what wind and solar plants can make; only `kinds` of these when given. It reads the archive
    once, at its first fetch."""

    synthetic = False

    def __init__(self, archive: Archive, points: Iterable[str], market: Market, kinds: Iterable[str] = KINDS) -> None:
        self.name = "archive"
        self._archive = archive
        self._points = sorted(set(points))
        self._market = market
        self._kinds = [kind for kind in KINDS if kind in set(kinds)]
        self._rows: dict[str, tuple[NDArray[np.int64], pl.DataFrame]] | None = None

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The facts that became known in (since, until], in order of `known_at`."""
        first, last = (int(utc(at).timestamp() * 1e6) for at in (since, until))
        found: list[Fact] = []
        for kind, (known, rows) in self._load().items():
            start, end = np.searchsorted(known, (first, last), side="right")
            if end > start:
                part = rows.slice(start, end - start)
                found.extend(
                    runs_of(kind, part) if kind in INDICATIVE_KINDS else (fact_of(kind, row) for row in part.iter_rows(named=True))
                )
        return sorted(found, key=lambda fact: fact.known_at)

    def _load(self) -> dict[str, tuple[NDArray[np.int64], pl.DataFrame]]:
        if self._rows is None:
            self._rows = {}
            for kind in self._kinds:
                rows = self._read(kind).sort("known_at", maintain_order=True)
                self._rows[kind] = rows["known_at"].dt.epoch("us").to_numpy(), rows
        return self._rows

    def _read(self, kind: str) -> pl.DataFrame:
        if kind == "hash":
            return self._archive.read_hash()
        if kind == "price":
            day_ahead = sorted({day_ahead_point(point) for point in self._points})
            rows, is_day_ahead = self._archive.read(kind, sorted({*self._points, *day_ahead})), pl.col("market") == "DAY_AHEAD_HOURLY"
            return rows.filter(pl.when(is_day_ahead).then(pl.col("key").is_in(day_ahead)).otherwise(pl.col("key").is_in(self._points)))
        if kind == "indicative":
            return self._archive.read(kind, self._points)
        if kind in OF_NO_MARKET:
            return self._archive.read(kind)
        return self._archive.read(kind).filter(pl.col("iso") == self._market.value)
