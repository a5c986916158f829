"""Archives of made-up prices for backtests, written as gridstatus writes them, and a site file over them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np

from markets.archive.archive import Archive
from markets.grid import Market
from tests.sites import document

POINT = "LZ_WEST"
STEP, HOUR = timedelta(minutes=15), timedelta(hours=1)
HEAD = "Interval Start,Interval End,Location,Market,SPP\n"


def spiky_prices(days: int, seed: int = 1) -> list[float]:
    """$/MWh in quarter hours: cheap nights, evenings of several hundred dollars that come and go within the hour, some negative noons."""
    rng = np.random.default_rng(seed)
    hour = np.arange(days * 96) / 4.0 % 24.0
    base = 35.0 + 15.0 * np.sin((hour - 10.0) / 24.0 * 2 * np.pi) + rng.normal(0.0, 6.0, len(hour))
    evening = (hour >= 17) & (hour < 21) & (rng.random(len(hour)) < 0.5)
    noon = (hour >= 11) & (hour < 13) & (rng.random(len(hour)) < 0.2)
    return np.round(base + evening * rng.uniform(60.0, 900.0, len(hour)) - noon * 60.0, 2).tolist()


def archive_of(folder: Path, start: datetime, prices: Sequence[float | None], name: str = "prices") -> Path:
    """An archive of real-time prices at POINT; None is a hole."""
    rows = []
    for n, price in enumerate(prices):
        if price is not None:
            over = f"{(start + n * STEP).isoformat()},{(start + (n + 1) * STEP).isoformat()}"
            rows.append(f"{over},{POINT},REAL_TIME_15_MIN,{price}\n")
    table = folder.parent / f"{name}.csv"
    table.write_text(HEAD + "".join(rows))
    Archive(folder).import_file(table)
    return folder


def archive_with_loads(folder: Path, market: Market, point: str, start: datetime, loads_mw: Sequence[float]) -> Path:
    """An archive of hourly system loads, and of real-time prices of 30 $/MWh beside them."""
    run, step = ("REAL_TIME_15_MIN", STEP) if market is Market.ERCOT else ("REAL_TIME_HOURLY", HOUR)
    priced = _spans(start, step, len(loads_mw) * (HOUR // step))
    tables = {
        "prices": HEAD + "".join(f"{over},{point},{run},30.0\n" for over in priced),
        "loads": "Interval Start,Interval End,Load\n"
        + "".join(f"{over},{mw}\n" for over, mw in zip(_spans(start, HOUR, len(loads_mw)), loads_mw, strict=True)),
    }
    for name, text in tables.items():
        table = folder.parent / f"{name}.csv"
        table.write_text(text)
        Archive(folder).import_file(table, market=market)
    return folder


def _spans(start: datetime, step: timedelta, number: int) -> list[str]:
    edges = [(start + n * step).isoformat() for n in range(number + 1)]
    return [f"{since},{until}" for since, until in pairwise(edges)]


def site_file(folder: Path, **changes: object) -> Path:
    """A small site with 80 rigs of two models; `changes` replace sections."""
    file = folder / "site.toml"
    file.write_text("".join(_table(name, value) for name, value in document(**changes).items()))
    return file


def _table(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"[{name}]\n" + "".join(f"{key} = {_value(v)}\n" for key, v in value.items())
    assert isinstance(value, list)
    return "".join(f"[[{name}]]\n" + "".join(f"{key} = {_value(v)}\n" for key, v in each.items()) for each in value)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return json.dumps(value)


def add_reserve_prices(archive: Path, start: datetime, prices: dict[str, Sequence[float]]) -> None:
    """Hourly day-ahead clearing prices of reserve, by product, in an archive."""
    rows = [
        f"{(start + n * HOUR).isoformat()},{(start + (n + 1) * HOUR).isoformat()},{product},DAM,{usd}\n"
        for product, hourly in prices.items()
        for n, usd in enumerate(hourly)
    ]
    table = archive.parent / "reserve.csv"
    table.write_text("Interval Start,Interval End,AS Type,Market,MCPC\n" + "".join(rows))
    Archive(archive).import_file(table, market=Market.ERCOT)
