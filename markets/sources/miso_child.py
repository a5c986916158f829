"""Runs in the feed's child process: MISO's public feeds through gridstatus. Every request returns rows [start_s, end_s, point, value] and
raises the error that occurred."""

from __future__ import annotations

import logging
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
    return {ask.__name__: partial(ask, iso) for ask in (real_time, day_ahead, load, load_forecast)}
