"""Fills gaps in an outlook with the nearest known number, with a note for each series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from markets.outlook import Outlook
from optimizer.domain.array_types import Floats


def fill_gaps(outlook: Outlook) -> tuple[Outlook, list[str]]:
    """The outlook without gaps: a number that is missing or infinite is replaced by the last one before it, else by the first after it; a
    note says so."""
    notes: list[str] = []
    energy = {}
    for point, series in outlook.energy.items():
        energy[point] = series
        if missing := _missing(series.values):
            notes.append(f"no price at {point} {_stand_in(missing, len(series.values))}")
            energy[point] = series.with_values(_filled(series.values, 0.0))
    hashprice = outlook.hashprice
    if missing := _missing(hashprice.values):
        notes.append(f"no hashprice {_stand_in(missing, len(hashprice.values))}")
        hashprice = hashprice.with_values(_filled(hashprice.values, 0.0))
    return (replace(outlook, energy=energy, hashprice=hashprice), notes) if notes else (outlook, notes)


def _missing(values: Floats) -> int:
    return int(np.count_nonzero(~np.isfinite(values)))


def _stand_in(missing: int, of: int) -> str:
    return f"for {missing} intervals: the nearest known one is used" if missing < of else "is known: the plan uses zero"


def _filled(values: Floats, otherwise: float) -> Floats:
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.full_like(values, otherwise)
    at = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return np.asarray(values[known[np.maximum(at, 0)]])
