"""Tables as gridstatus returns them, recognised by their column names and turned into rows of facts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl

from markets.archive.tables import (
    AS_PRODUCTS,
    WATT,
    FactTable,
    TableFault,
    economics,
    instants,
    numbers,
    rows,
    spans,
)
from markets.facts import PriceMarket

# ERCOT posts the prices of a dispatch or look-ahead run within seconds of it; the table holds only when it ran.
POSTED = timedelta(seconds=30)
STEP = timedelta(minutes=5)
SCED = PriceMarket.REAL_TIME_SCED.value


def native(table: FactTable) -> dict[str, pl.DataFrame]:
    """The rows of a gridstatus table, by kind of fact. Raises TableFault when its columns match none of the known tables."""
    has = set(table.frame.columns)
    for columns, reader in _NATIVE:
        if columns <= has:
            return reader(table)
    raise TableFault(
        f"{table.name}: its columns match no known table; give a column map. It has {', '.join(map(repr, table.frame.columns))}"
    )


def _prices(table: FactTable) -> dict[str, pl.DataFrame]:
    value = "SPP" if "SPP" in table.frame.columns else "LMP"
    markets = table.frame["Market"].cast(pl.String)
    if strange := sorted(set(markets.unique().to_list()) - set(PriceMarket)):
        raise TableFault(f"{table.name}: column 'Market': {strange[0]!r} is none of {', '.join(PriceMarket)}")
    columns = {"key": table.frame["Location"].cast(pl.String), "market": markets, **spans(table), "value": numbers(table, value)}
    return {"price": rows(columns | _published(table), table.stem)}


def _reserves(table: FactTable) -> dict[str, pl.DataFrame]:
    products = table.frame["AS Type"].cast(pl.String)
    ercot = pl.select(pl.when(products.is_in(AS_PRODUCTS)).then(pl.lit("ercot")).otherwise(pl.lit("miso"))).to_series()
    market: Any = pl.lit("DAM")
    if "Market" in table.frame.columns:
        market = table.frame["Market"].cast(pl.String).replace({"DAY_AHEAD_HOURLY": "DAM"})
        if strange := sorted(set(market.unique().to_list()) - {"DAM", SCED, "REAL_TIME_15_MIN", "REAL_TIME_5_MIN", "REAL_TIME_HOURLY"}):
            raise TableFault(f"{table.name}: column 'Market': {strange[0]!r} is neither DAM nor REAL_TIME_15_MIN")
    columns = {"iso": ercot, "key": products, "market": market, **spans(table), "value": numbers(table, "MCPC")}
    return {"reserve": rows(columns | _published(table), table.stem)}


def _loads(table: FactTable) -> dict[str, pl.DataFrame]:
    columns = {"iso": pl.lit(table.need_market()), **spans(table), "value": numbers(table, "Load")}
    return {"load": rows(columns | _published(table), table.stem)}


def _load_forecasts(table: FactTable) -> dict[str, pl.DataFrame]:
    given = {"value": numbers(table, "Load Forecast"), "known_at": instants(table, "Publish Time")}
    columns = {"iso": pl.lit(table.need_market()), **spans(table), **given}
    return {"load_forecast": rows(columns, table.stem)}


def _generation(table: FactTable) -> dict[str, pl.DataFrame]:
    columns = {"key": table.frame["Plant"].cast(pl.String), **spans(table), "value": numbers(table, "Generation")}
    return {"generation": rows(columns | _published(table), table.stem, digits=WATT)}


def _generation_forecasts(table: FactTable) -> dict[str, pl.DataFrame]:
    given = {"value": numbers(table, "Generation Forecast"), "known_at": instants(table, "Publish Time")}
    columns = {"key": table.frame["Plant"].cast(pl.String), **spans(table), **given}
    return {"generation_forecast": rows(columns, table.stem, digits=WATT)}


def _temperatures(table: FactTable) -> dict[str, pl.DataFrame]:
    """Degrees Celsius; a forecast has the column Publish Time, a measurement need not."""
    columns = {**spans(table), "value": numbers(table, "Temperature")}
    return {"temperature": rows(columns | _published(table), table.stem)}


def _corrections(table: FactTable) -> dict[str, pl.DataFrame]:
    over = spans(table)
    hourly = (over["end"] - over["start"]).dt.total_minutes() == 60
    market = pl.select(pl.when(hourly).then(pl.lit("DAY_AHEAD_HOURLY")).otherwise(pl.lit("REAL_TIME_15_MIN"))).to_series()
    first = {"key": table.frame["Location"].cast(pl.String), "market": market, **over}
    corrected = first | {
        "value": numbers(table, "SPP Corrected"),
        "known_at": instants(table, "Price Correction Time"),
        "correction": pl.Series([True] * len(market)),
    }
    return {"price": pl.concat([rows(first | {"value": numbers(table, "SPP Original")}, table.stem), rows(corrected, table.stem)])}


def _economics(table: FactTable) -> dict[str, pl.DataFrame]:
    figures = {name: numbers(table, name) for name in ("difficulty", "btc_usd", "fees_btc_per_block", "subsidy_btc")}
    return {"hash": economics(table, "date", figures, table.stem)}


def _indicative(table: FactTable) -> dict[str, pl.DataFrame]:
    columns = {"key": table.frame["Location"].cast(pl.String), **spans(table), "value": numbers(table, "LMP")}
    return {"indicative": rows(columns | _known_after_run(table, "RTD Timestamp"), table.stem)}


def _indicative_reserves(table: FactTable) -> dict[str, pl.DataFrame]:
    """One column a product."""
    shared = {"iso": pl.lit("ercot"), **spans(table), **_known_after_run(table, "RTD Timestamp")}
    parts = [rows({"key": pl.lit(name), "value": numbers(table, name)} | shared, table.stem) for name in AS_PRODUCTS]
    return {"indicative_reserve": pl.concat(parts)}


def _reserve_runs(table: FactTable) -> dict[str, pl.DataFrame]:
    """Clearing prices of dispatch runs, each of which counts until the next: five minutes."""
    start = instants(table, "SCED Timestamp").dt.truncate("5m")
    columns = {"iso": pl.lit("ercot"), "key": table.frame["AS Type"].cast(pl.String).str.strip_chars(), "market": pl.lit(SCED)}
    columns |= {"start": start, "end": start + STEP, "value": numbers(table, "MCPC")}
    return {"reserve": rows(columns | _published(table), table.stem)}


def _known_after_run(table: FactTable, column: str) -> dict[str, pl.Series]:
    """When a run's prices were known: as published, else just after the run."""
    return _published(table) or {"known_at": instants(table, column) + POSTED}


def _published(table: FactTable) -> dict[str, pl.Series]:
    """When values were known: as published, just after the dispatch run where the table says when it ran, else by rule."""
    if "Publish Time" in table.frame.columns:
        return {"known_at": instants(table, "Publish Time")}
    return {"known_at": instants(table, "SCED Timestamp") + POSTED} if "SCED Timestamp" in table.frame.columns else {}


_SPAN = {"Interval Start", "Interval End"}
_NATIVE = (
    (_SPAN | {"Price Correction Time", "Location", "SPP Original", "SPP Corrected"}, _corrections),
    (_SPAN | {"Location", "Market", "SPP"}, _prices),
    (_SPAN | {"Location", "Market", "LMP"}, _prices),
    (_SPAN | {"AS Type", "MCPC"}, _reserves),
    ({"SCED Timestamp", "AS Type", "MCPC"}, _reserve_runs),
    (_SPAN | {"RTD Timestamp", "Location", "LMP"}, _indicative),
    (_SPAN | {"RTD Timestamp", *AS_PRODUCTS}, _indicative_reserves),
    (_SPAN | {"Publish Time", "Load Forecast"}, _load_forecasts),
    (_SPAN | {"Temperature"}, _temperatures),
    (_SPAN | {"Load"}, _loads),
    (_SPAN | {"Plant", "Publish Time", "Generation Forecast"}, _generation_forecasts),
    (_SPAN | {"Plant", "Generation"}, _generation),
    ({"date", "difficulty", "btc_usd", "fees_btc_per_block", "subsidy_btc"}, _economics),
)
