"""Column maps: a wide table (one column for each location or product), or one with other column names, turned into rows of facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from markets.archive.tables import GENERATION_KINDS, KINDS, WATT, ZONE, FactTable, TableFault, economics, instants, numbers, rows
from markets.facts import PriceMarket

KEYS = {
    "fact": "price, reserve, load, load_forecast, generation, generation_forecast, temperature or hash",
    "time": "the column of interval starts",
    "interval_min": "minutes of an interval",
    "market": "the run that set the price",
    "iso": "ercot or miso; required for loads unless the import says it",
    "source": "the source that facts cite; the file's name when absent",
    "publish_time": "the column of publish times",
    "known": "real_time or day_ahead: which publish rule holds without publish times",
    "gap_where": "a boolean column that marks rows without a measurement",
    "location": "the column of locations, in a long table",
    "columns": "column = location, product or figure",
    "correction": "column, days_after: a second, corrected value",
}
ALSO = {"hash_economics": "hash", "reserve_price": "reserve", "system_load": "load"}  # the facts' own names
HASH_FIGURES = ("difficulty", "btc_usd", "fees_btc_per_block", "subsidy_btc")
BLOCKS_PER_DAY = 144
PER_BLOCK = ("btc_per_block", "sat_per_block", "btc_per_day", "usd_per_day")


def mapped(table: FactTable, spec: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """The rows a map makes of a table, by kind of fact. Raises TableFault naming the key."""
    if strange := sorted(set(spec) - set(KEYS)):
        raise TableFault(f"map: unknown key {strange[0]!r}; known: {', '.join(KEYS)}")
    kind = ALSO.get(spec.get("fact", "price"), spec.get("fact", "price"))
    if kind not in KINDS:
        raise TableFault(f"map: fact: {kind!r} is none of {', '.join(KINDS)}")
    columns = spec.get("columns")
    if not isinstance(columns, Mapping) or not columns:
        raise TableFault("map: columns: a table of column = name is required")
    if kind == "hash":
        return {"hash": _hash(table, spec, columns)}
    for key in ("time", "interval_min"):
        if key not in spec:
            raise TableFault(f"map: {key}: is required: {KEYS[key]}")
    if not isinstance(spec["interval_min"], int) or spec["interval_min"] <= 0:
        raise TableFault(f"map: interval_min: {spec['interval_min']!r} is not a whole number of minutes above zero")
    if spec.get("iso", "ercot") not in ZONE:
        raise TableFault(f"map: iso: {spec['iso']!r} is none of {', '.join(ZONE)}")
    found: dict[str, list[pl.DataFrame]] = {}
    for column, meaning in _column_first(table, columns).items():
        for kind_of_column, frame in _column(table, spec, column, meaning):
            found.setdefault(kind_of_column, []).append(frame)
    return {name: pl.concat(frames) for name, frames in found.items()}


def _column_first(table: FactTable, columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """column = name; a map written the other way round (name = column) is accepted when only that way fits the file."""
    has = set(table.frame.columns)
    if not set(columns) <= has and all(isinstance(v, str) and v in has for v in columns.values()):
        return {column: name for name, column in columns.items()}
    table.need(*columns)
    return columns


def _meaning(spec: Mapping[str, Any], column: str, meaning: Any) -> dict[str, str]:
    """What a column holds: its name, fact, market and publish rule, the map's own where the column has none."""
    own = {"name": meaning} if isinstance(meaning, str) else meaning
    if not isinstance(own, Mapping) or set(own) - {"name", "fact", "market", "known"}:
        raise TableFault(f"map: columns.{column}: is a name, or a table of name, fact, market, known")
    column_spec = {"name": "", "fact": "price", "market": "", "known": "real_time"} | {
        k: spec[k] for k in ("fact", "market", "known") if k in spec
    }
    column_spec |= own
    column_spec["fact"] = ALSO.get(column_spec["fact"], column_spec["fact"])
    if column_spec["fact"] not in KINDS[:-1]:
        raise TableFault(f"map: columns.{column}: fact {column_spec['fact']!r} is none of {', '.join(KINDS[:-1])}")
    if column_spec["known"] not in ("real_time", "day_ahead"):
        raise TableFault(f"map: known: {column_spec['known']!r} is neither real_time nor day_ahead")
    if column_spec["fact"] == "price" and column_spec["market"] not in set(PriceMarket):
        raise TableFault(f"map: market: {column_spec['market']!r} is none of {', '.join(PriceMarket)}")
    if column_spec["fact"] == "reserve":
        column_spec["market"] = column_spec["market"] or "DAM"
    return column_spec


def _column(table: FactTable, spec: Mapping[str, Any], column: str, meaning: Any) -> list[tuple[str, pl.DataFrame]]:
    column_spec = _meaning(spec, column, meaning)
    kind = column_spec["fact"]
    start = instants(table, spec["time"])
    value = numbers(table, column)
    if gap := spec.get("gap_where"):
        table.need(gap)
        value = pl.select(pl.when(~table.frame[gap].cast(pl.Boolean)).then(value)).to_series()
    names: Any = table.frame[spec["location"]].cast(pl.String) if spec.get("location") else pl.lit(column_spec["name"])
    given = {
        "key": names if kind in ("price", "reserve", *GENERATION_KINDS) else pl.lit(""),
        "market": pl.lit(column_spec["market"] if kind in ("price", "reserve") else ""),
        "start": start,
        "end": start.dt.offset_by(f"{spec['interval_min']}m"),
        "value": value,
    }
    if "iso" in spec:
        given["iso"] = pl.lit(spec["iso"])
    elif kind in ("load", "load_forecast"):
        given["iso"] = pl.lit(_market_of_load(table, spec, column_spec["name"]))
    if "publish_time" in spec:
        given["known_at"] = instants(table, spec["publish_time"])
    first = rows(given, spec.get("source", table.stem), column_spec["known"], WATT if kind in GENERATION_KINDS else 2)
    corrected = _corrected(table, spec, first)
    return [(kind, first)] + ([(kind, corrected)] if corrected is not None else [])


def _market_of_load(table: FactTable, spec: Mapping[str, Any], name: str) -> str:
    """The market of a column of system load or its forecast: by its name, else that of the locations in the same map, else the table's.
    Raises UnknownMarket."""
    if name.lower() in ZONE:
        return name.lower()
    meanings = [_meaning(spec, column, meaning) for column, meaning in spec["columns"].items()]
    beside = {"miso" if "." in m["name"] else "ercot" for m in meanings if m["fact"] == "price" and m["name"]}
    return beside.pop() if len(beside) == 1 else table.need_market()


def _corrected(table: FactTable, spec: Mapping[str, Any], first: pl.DataFrame) -> pl.DataFrame | None:
    correction = spec.get("correction")
    if correction is None:
        return None
    if not isinstance(correction, Mapping) or set(correction) != {"column", "days_after"}:
        raise TableFault("map: correction: needs exactly column and days_after")
    if not isinstance(correction["days_after"], int) or correction["days_after"] < 0:
        raise TableFault(f"map: correction.days_after: {correction['days_after']!r} is not a whole number of days")
    return first.with_columns(
        numbers(table, correction["column"]).round(2).alias("value"),
        (pl.col("end") + pl.duration(days=correction["days_after"])).alias("known_at"),
        pl.lit(True).alias("correction"),
    )


def _hash(table: FactTable, spec: Mapping[str, Any], columns: Mapping[str, Any]) -> pl.DataFrame:
    """Daily hash economics: each figure names its column, and its unit where it is not the fact's own."""
    if missing := [name for name in (*HASH_FIGURES, "date") if name not in columns]:
        raise TableFault(f"map: columns: {missing[0]}: is required for hash economics")
    if strange := sorted(set(columns) - {*HASH_FIGURES, "date"}):
        raise TableFault(f"map: columns: unknown figure {strange[0]!r}; known: date, {', '.join(HASH_FIGURES)}")
    figures = {}
    for name in HASH_FIGURES:
        own = {"column": columns[name]} if isinstance(columns[name], str) else columns[name]
        if not isinstance(own, Mapping) or "column" not in own or set(own) - {"column", "unit", "blocks"}:
            raise TableFault(f"map: columns.{name}: needs column, and may have unit and blocks")
        figures[name] = _in_unit(table, columns, name, own)
    table.need(columns["date"])
    return economics(table, columns["date"], figures, spec.get("source", table.stem))


def _in_unit(table: FactTable, columns: Mapping[str, Any], name: str, own: Mapping[str, Any]) -> pl.Series:
    value = numbers(table, own["column"])
    per_block = name in ("fees_btc_per_block", "subsidy_btc")
    unit = own.get("unit", "btc_per_block" if per_block else "")
    if not unit:
        return value
    if not per_block or unit not in PER_BLOCK:
        raise TableFault(
            f"map: columns.{name}.unit: {unit!r}: the units of fees and subsidy are {', '.join(PER_BLOCK)}; other figures have none"
        )
    if unit == "sat_per_block":
        return value / 1e8
    if unit == "usd_per_day":
        price = columns["btc_usd"]
        value = value / numbers(table, price if isinstance(price, str) else price["column"])
    if unit == "btc_per_block":
        return value
    return value / (numbers(table, own["blocks"]) if "blocks" in own else BLOCKS_PER_DAY)
