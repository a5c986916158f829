"""Fills gaps in an outlook with the nearest known number, with a note for each series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from markets import UnknownPrice, counted
from markets.outlook import Outlook
from optimizer.domain.array_types import Floats


def fill_gaps(outlook: Outlook) -> tuple[Outlook, list[str]]:
    """The outlook without gaps: a number that is missing or infinite is replaced by the last one before it, else by the first after it; a
    note says so. Raises UnknownPrice when no number of a series is known: an unknown price is never zero."""
    notes: list[str] = []
    energy = {}
    for point, series in outlook.energy.items():
        energy[point] = series
        if missing := _missing(series.values):
            energy[point] = series.with_values(_filled(series.values, f"price at {point}"))
            notes.append(f"no price at {point} for {counted(missing, 'interval')}: the nearest known one is used")
    hashprice = outlook.hashprice
    if missing := _missing(hashprice.values):
        hashprice = hashprice.with_values(_filled(hashprice.values, "hashprice"))
        notes.append(f"no hashprice for {counted(missing, 'interval')}: the nearest known one is used")
    return (replace(outlook, energy=energy, hashprice=hashprice), notes) if notes else (outlook, notes)


def _missing(values: Floats) -> int:
    return int(np.count_nonzero(~np.isfinite(values)))


def _filled(values: Floats, what: str) -> Floats:
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise UnknownPrice(f"no {what} is known, and an unknown price is never taken as zero")
    at = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return np.asarray(values[known[np.maximum(at, 0)]])
