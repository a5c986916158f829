"""Tables turned into rows of facts: what the tables of gridstatus (gridstatus_tables) and those with a column map (tablemap) share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from markets.grid import parse_instant

# One row for each value of a fact. `iso` is the operator of the market, `key` the settlement point or product, `market` the run that priced
# it.
ROWS: dict[str, Any] = {
    "iso": pl.String,
    "key": pl.String,
    "market": pl.String,
    "start": pl.Datetime("us", "UTC"),
    "end": pl.Datetime("us", "UTC"),
    "value": pl.Float64,
    "known_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
    "correction": pl.Boolean,
}
ECONOMICS: dict[str, Any] = {
    "on": pl.Date,
    "difficulty": pl.Float64,
    "btc_usd": pl.Float64,
    "fees_btc_per_block": pl.Float64,
    "subsidy_btc": pl.Float64,
    "known_at": pl.Datetime("us", "UTC"),
    "source": pl.String,
}
GENERATION_KINDS = ("generation", "generation_forecast")
WATT = 6  # digits of a MW that are kept of generation
# What the market's look-ahead runs expect: one row for each step of a run, known when it ran.
INDICATIVE_KINDS = ("indicative", "indicative_reserve")
FORECAST_KINDS = ("load_forecast", "generation_forecast", "temperature", *INDICATIVE_KINDS)  # each publication is a vintage
KINDS = ("price", "reserve", *INDICATIVE_KINDS, "load", "load_forecast", *GENERATION_KINDS, "temperature", "hash")
ZONE = {"ercot": "America/Chicago", "miso": "EST"}
AS_PRODUCTS = ("REGUP", "REGDN", "RRS", "ECRS", "NSPIN")
DAY_AHEAD = ("DAY_AHEAD_HOURLY", "DAM", "day_ahead")

OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"


class TableFault(ValueError):
    """A table or a map is not what it should be; the text names the file and the column or key."""


class UnknownMarket(TableFault):
    """A table of facts that name no market, and nothing else says which market they are of."""


@dataclass(frozen=True, slots=True)
class FactTable:
    """A file as read. `name` is its base name, `stem` the name a fact cites as its source, `market` the market whose facts it holds where
    that is known beforehand, else empty."""

    name: str
    stem: str
    frame: pl.DataFrame
    market: str = ""

    def need_market(self) -> str:
        """The market of facts that have neither location nor product. Raises UnknownMarket where it is not known."""
        if not self.market:
            where = "neither the archive nor the map shows one: give --market " + " or ".join(ZONE)
            raise UnknownMarket(f'{self.name}: system load names no market, and {where}, or `iso = "..."` in the map')
        return self.market

    def need(self, *columns: str) -> None:
        """Raises TableFault when the table lacks one of these columns."""
        for column in columns:
            if column not in self.frame.columns:
                raise TableFault(f"{self.name}: no column {column!r}; it has {', '.join(map(repr, self.frame.columns[:40]))}")


def open_table(path: Path) -> FactTable:
    """CSV (also gzipped) or Parquet. Raises TableFault."""
    try:
        if path.name.endswith((".csv", ".csv.gz")):
            nothing = ["", "NaN", "nan", "NA", "null", "None"]
            frame = pl.read_csv(path, null_values=nothing, infer_schema_length=None, try_parse_dates=False)
        elif path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            raise TableFault(f"{path.name}: neither .csv, .csv.gz nor .parquet")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableFault(f"{path.name}: cannot be read: {str(error).splitlines()[0]}") from error
    return FactTable(path.name, path.name.removesuffix(".gz").rsplit(".", 1)[0], frame)


def instants(table: FactTable, column: str, naive_is_utc: bool = False) -> pl.Series:
    """A column as UTC instants. Offsets are required, unless the column's name ends in `_utc`. Raises TableFault naming the column."""
    table.need(column)
    values = table.frame[column]
    naive_is_utc = naive_is_utc or column.endswith("_utc")
    if isinstance(values.dtype, pl.Datetime):
        if values.dtype.time_zone is None:
            if not naive_is_utc:
                raise TableFault(f"{table.name}: column {column!r} has no UTC offset: write Z or +hh:mm")
            values = values.dt.replace_time_zone("UTC")
        return values.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    if values.dtype != pl.String:
        raise TableFault(f"{table.name}: column {column!r} holds {values.dtype}, not instants")
    bare = values.filter(~values.str.contains(OFFSET))
    if len(bare):
        if not naive_is_utc:
            raise TableFault(f"{table.name}: column {column!r}: {bare[0]!r} has no UTC offset: write Z or +hh:mm")
        values = pl.select(pl.when(values.str.contains(OFFSET)).then(values).otherwise(values + "Z")).to_series()
    tidy = values.str.replace(" ", "T").str.replace("Z$", "+00:00")
    parsed = tidy.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_zone="UTC", time_unit="us", strict=False)
    if parsed.null_count() > values.null_count():
        parsed = pl.Series(column, [_instant(table, column, text) for text in values], dtype=pl.Datetime("us", "UTC"))
    return parsed


def _instant(table: FactTable, column: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise TableFault(f"{table.name}: column {column!r}: {error}") from None


def numbers(table: FactTable, column: str) -> pl.Series:
    """A column as floats; NaN becomes null. Raises TableFault for text and infinite values."""
    table.need(column)
    values = table.frame[column]
    if values.dtype == pl.String or not (values.dtype.is_numeric() or values.dtype == pl.Null):
        raise TableFault(f"{table.name}: column {column!r} holds {values.dtype}, not numbers")
    values = values.cast(pl.Float64).fill_nan(None)
    if values.is_infinite().any():
        raise TableFault(f"{table.name}: column {column!r} holds an infinite value")
    return values


def spans(table: FactTable) -> dict[str, pl.Series]:
    """gridstatus's Interval Start and Interval End."""
    return {"start": instants(table, "Interval Start"), "end": instants(table, "Interval End")}


def known_by_rule(frame: pl.DataFrame, rule: str) -> pl.DataFrame:
    """`known_at` where it is null: day-ahead facts at 13:30 market time the day before, others two minutes after they end."""
    zones = []
    for iso, zone in ZONE.items():
        local = pl.col("start").dt.convert_time_zone(zone).dt.date() - pl.duration(days=1)
        noon = local.dt.combine(pl.time(13, 30)).dt.replace_time_zone(zone).dt.convert_time_zone("UTC")
        zones.append(pl.when(pl.col("iso") == iso).then(noon))
    day_ahead = pl.coalesce(*zones)
    is_day_ahead = pl.col("market").is_in(DAY_AHEAD) | pl.lit(rule == "day_ahead")
    default = pl.when(is_day_ahead).then(day_ahead).otherwise(pl.col("end") + pl.duration(minutes=2))
    return frame.with_columns(pl.coalesce("known_at", default.cast(pl.Datetime("us", "UTC"))).alias("known_at"))


def rows(columns: Mapping[str, Any], source: str, rule: str = "real_time", digits: int = 2) -> pl.DataFrame:
    """Rows of the shape ROWS from its columns; missing columns get their defaults, and values are rounded to the cent (`digits`). `rule` is
    how `known_at` is found where it is missing (`known_by_rule`)."""
    frame = pl.select(**columns)
    for name, default in (("iso", None), ("key", ""), ("market", ""), ("known_at", None), ("correction", False)):
        if name not in frame.columns:
            frame = frame.with_columns(pl.lit(default, dtype=ROWS[name]).alias(name))
    iso = pl.when(pl.col("key").str.contains(".", literal=True)).then(pl.lit("miso")).otherwise(pl.lit("ercot"))
    frame = frame.with_columns(pl.coalesce("iso", iso).alias("iso"), pl.lit(source).alias("source"), pl.col("value").round(digits))
    return known_by_rule(frame.select(pl.col(name).cast(dtype) for name, dtype in ROWS.items()), rule)


def economics(table: FactTable, date_column: str, figures: Mapping[str, pl.Series], source: str) -> pl.DataFrame:
    """Hash economics, known at the end of their UTC day."""
    days = table.frame[date_column]
    if days.dtype != pl.Date:
        days = days.cast(pl.String).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if days.null_count():
        raise TableFault(f"{table.name}: column {date_column!r} holds something that is not a date")
    end = pl.col("on").cast(pl.Datetime("us")).dt.replace_time_zone("UTC") + pl.duration(days=1)
    frame = pl.DataFrame({"on": days, **figures}).with_columns(end.alias("known_at"), pl.lit(source).alias("source"))
    return frame.select(pl.col(name).cast(dtype) for name, dtype in ECONOMICS.items())
