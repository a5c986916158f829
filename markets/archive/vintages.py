"""Vintages: which of several values of a fact is served, which disagree with it, and where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from markets import counted
from markets.archive.tables import FORECAST_KINDS, ROWS
from markets.facts import (
    Fact,
    GenerationForecast,
    HashEconomics,
    IndicativePrices,
    IndicativeReservePrices,
    LoadForecast,
    MeasuredGeneration,
    Price,
    PriceMarket,
    ReservePrice,
    SystemLoad,
    Temperature,
)
from markets.grid import Interval

SAME = ["iso", "key", "market", "start", "end"]  # two rows with these in common are about one fact
STORED = {**ROWS, "disputed": pl.Boolean}


@dataclass(frozen=True, slots=True)
class Gap:
    """A span without values in a series: so many `intervals` of the series' usual length are missing."""

    kind: str
    key: str
    market: str
    over: Interval
    intervals: int

    def __str__(self) -> str:
        name = " ".join(word for word in (self.kind, self.key, self.market) if word)
        missing = counted(self.intervals, "interval")
        return f"{name}: nothing from {self.over.start:%Y-%m-%dT%H:%MZ} to {self.over.end:%Y-%m-%dT%H:%MZ}, {missing}"


def merge(kind: str, old: pl.DataFrame, new: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two frames: the old rows with the rows of `new` that they lack, and the rows of `new` whose value differs from the one served, with
    the served value and source in columns `value_served` and `source_served`.

    The first value of a fact is the one served. One that differs is kept as disputed. A correction is a vintage of its own, and so is each
    publication of a forecast.
    """
    same = [*SAME, "known_at"] if kind in FORECAST_KINDS else SAME
    disputes = []
    parts = [old]
    for correction in (False, True):
        by = [*SAME, "known_at"] if correction else same
        coming = new.filter(pl.col("correction") == correction).unique([*by, "value"], keep="first", maintain_order=True)
        served = old.filter(~pl.col("disputed"), pl.col("correction") == correction)
        first = pl.concat([served.select(*by, "value", "source"), coming.select(*by, "value", "source")]).unique(
            by, keep="first", maintain_order=True
        )
        joined = coming.join(first, on=by, how="left", suffix="_served", maintain_order="left")
        agreed = joined.filter(pl.col("value") == pl.col("value_served")).drop("value_served", "source_served")
        against = joined.filter(pl.col("value") != pl.col("value_served"))
        disputes.append(against)
        fresh = agreed.join(served, on=by, how="anti").with_columns(pl.lit(False).alias("disputed"))
        kept = old.filter(pl.col("disputed"), pl.col("correction") == correction)
        fresh_against = against.drop("value_served", "source_served").join(kept, on=[*by, "value", "source"], how="anti")
        parts += [fresh.select(*STORED), fresh_against.with_columns(pl.lit(True).alias("disputed")).select(*STORED)]
    return pl.concat(parts).sort("key", "market", "start", "known_at", "disputed", maintain_order=True), pl.concat(disputes)


def disagreements(kind: str, disputes: pl.DataFrame) -> Iterable[str]:
    """Disagreements in words: one sentence for each series and pair of sources."""
    for part in disputes.sort("start").partition_by("key", "market", "source", "source_served", maintain_order=True):
        row = part.row(0, named=True)
        name = " ".join(word for word in (kind, row["key"], row["market"]) if word)
        yield (
            f"{name}: {row['source']} and {row['source_served']} disagree on {counted(part.height, 'interval')}, first "
            f"{row['start']:%Y-%m-%dT%H:%MZ}: {row['value']:.2f} against {row['value_served']:.2f}; the latter is served"
        )


def gaps_of(kind: str, frame: pl.DataFrame) -> Iterable[Gap]:
    """The spans without a value between the first and the last row of each series."""
    series = frame.filter(~pl.col("correction")) if frame["correction"].any() else frame
    for part in series.partition_by("iso", "key", "market", maintain_order=True):
        length = part.select((pl.col("end") - pl.col("start")).mode().min()).item()
        given = part.filter(pl.col("value").is_not_null()).select("start", "end").unique().sort("start")
        first, last = part.select(pl.col("start").min(), pl.col("end").max()).row(0)
        ends = pl.concat([pl.Series("from", [first], ROWS["end"]), given["end"]])
        starts = pl.concat([given["start"], pl.Series("start", [last], ROWS["start"])])
        for start, end in pl.DataFrame({"from": ends, "to": starts}).filter(pl.col("to") > pl.col("from")).iter_rows():
            yield Gap(kind, part["key"][0], part["market"][0], Interval(start, end), max(1, round((end - start) / length)))


def fact_of(kind: str, row: Mapping[str, Any]) -> Fact:
    """A stored row as the fact it holds."""
    if kind == "hash":
        return economics_of(row)
    if kind == "price":
        return price_of(row)
    if kind == "reserve":
        return ReservePrice(**_origin(row), product=row["key"], market=row["market"], over=_over(row), usd_per_mw_h=row["value"])
    if kind == "generation":
        return MeasuredGeneration(**_origin(row), plant=row["key"], over=_over(row), mw=row["value"])
    if kind == "generation_forecast":
        return GenerationForecast(**_origin(row), plant=row["key"], over=_over(row), mw=row["value"])
    if kind == "temperature":
        return Temperature(**_origin(row), over=_over(row), celsius=row["value"])
    return (SystemLoad if kind == "load" else LoadForecast)(**_origin(row), over=_over(row), load_mw=row["value"])


def runs_of(kind: str, rows: pl.DataFrame) -> Iterable[Fact]:
    """Rows of an indicative kind as one fact for each look-ahead run and point or product. A run with a step missing ends before it."""
    for part in rows.sort("start").partition_by("key", "known_at", maintain_order=True):
        steps = part.rows(named=True)
        whole = [row for n, row in enumerate(steps) if row["start"] == steps[0]["start"] + n * (steps[0]["end"] - steps[0]["start"])]
        over, values = Interval(_utc(whole[0]["start"]), _utc(whole[-1]["end"])), tuple(row["value"] for row in whole)
        if kind == "indicative":
            yield IndicativePrices(**_origin(steps[0]), point=steps[0]["key"], over=over, usd_per_mwh=values)
        else:
            yield IndicativeReservePrices(**_origin(steps[0]), product=steps[0]["key"], over=over, usd_per_mw_h=values)


def price_of(row: Mapping[str, Any]) -> Price:
    """A stored row of kind "price" as a fact."""
    return Price(**_origin(row), point=row["key"], market=PriceMarket(row["market"]), over=_over(row), usd_per_mwh=row["value"])


def economics_of(row: Mapping[str, Any]) -> HashEconomics:
    """A stored row of kind "hash" as a fact."""
    return HashEconomics(
        **_origin(row), **{name: row[name] for name in ("on", "difficulty", "btc_usd", "fees_btc_per_block", "subsidy_btc")}
    )


def _origin(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"source": row["source"], "known_at": _utc(row["known_at"])}


def _over(row: Mapping[str, Any]) -> Interval:
    return Interval(_utc(row["start"]), _utc(row["end"]))


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)  # polars hands out another UTC object
