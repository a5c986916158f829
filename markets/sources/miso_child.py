"""Runs in the feed's child process: MISO's public feeds through gridstatus. Every request returns rows [start_s, end_s, point, value] and
raises the error that occurred."""

from __future__ import annotations

import csv
import io
import logging
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gridstatus
import pandas as pd

from markets.sources.feed import Ask, rows_of


def _no_types(self: gridstatus.MISO, verbose: bool = False) -> pd.DataFrame:
    """Replaces the node types, which only the day-ahead file has: when that file is late or missing, reading real-time prices would
    fail."""
    return pd.DataFrame({"Node": pd.Series(dtype=str), "Location Type": pd.Series(dtype=str)})


def real_time(iso: gridstatus.MISO, points: Sequence[str], of: str) -> list[list[Any]]:
    """Preliminary ex-post five-minute LMP: "latest", or the date (EST) of today or yesterday. The feed's INTERVAL is the interval's end."""
    return rows_of(iso.get_lmp_real_time_5_min(of), "LMP", "Location", points)


def real_time_final(iso: gridstatus.MISO, points: Sequence[str], published_on: str) -> list[list[Any]]:
    """Final five-minute LMP of the week that the file of a Monday holds: it begins two weeks before. gridstatus reads the whole file, some
    five million rows, into one frame; of a few nodes it is read here row by row."""
    wanted, rows = set(points), list[list[Any]]()
    url = f"https://docs.misoenergy.org/marketreports/{pd.Timestamp(published_on):%Y%m%d}_5MIN_LMP.zip"
    with urllib.request.urlopen(url) as reply, zipfile.ZipFile(io.BytesIO(reply.read())) as whole, whole.open(whole.namelist()[0]) as file:
        lines = csv.reader(io.TextIOWrapper(file, "utf-8"))
        header = next(line for line in lines if "PNODENAME" in line)
        start, node, lmp = (header.index(name) for name in ("MKTHOUR_EST", "PNODENAME", "LMP"))
        for line in lines:
            if len(line) > node and line[node] in wanted:
                start_s = int(pd.Timestamp(line[start]).tz_localize(iso.default_timezone).timestamp())
                rows.append([start_s, start_s + 300, line[node], float(line[lmp])])
    return rows


def day_ahead(iso: gridstatus.MISO, points: Sequence[str], day: str) -> list[list[Any]]:
    """Ex-post day-ahead LMP of one EST day."""
    return rows_of(iso.get_lmp_day_ahead_hourly(day), "LMP", "Location", points)


def load(iso: gridstatus.MISO) -> list[list[Any]]:
    """Today's total load by five minutes."""
    return rows_of(iso.get_load("today"), "Load", name="MISO")


def load_forecast(iso: gridstatus.MISO, day: str) -> list[list[Any]]:
    """The day's forecast of MISO's load by hour (df_al)."""
    return rows_of(iso.get_load_forecast(day), "MISO MTLF", name="MISO")


def child() -> Mapping[str, Ask]:
    """The requests by name."""
    logging.getLogger("gridstatus").setLevel(logging.ERROR)
    # gridstatus.miso makes its own MISO() to ask for the types, so a subclass would not be used.
    gridstatus.MISO._get_node_to_type_mapping = _no_types  # type: ignore[method-assign]
    iso = gridstatus.MISO()
    return {ask.__name__: partial(ask, iso) for ask in (real_time, real_time_final, day_ahead, load, load_forecast)}
