"""Charges and bills of other contracts in dollars, as a contract reads them that charges a percentage of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from markets.grid import Grid
from optimizer.domain.formula import Charge
from optimizer.domain.money import ZERO, Line, decimal

USD = "usd"


def in_dollars(charge: Charge[Any]) -> Charge[Any]:
    """The same charge with its dollars as the quantity and a rate of one."""
    rate = np.asarray(charge.rate)
    return replace(charge, quantity=charge.quantity * rate, unit=USD, rate=rate * 0 + 1)


def charges_of_lines(lines: Iterable[Line], grid: Grid) -> tuple[Charge[Any], ...]:
    """The lines of one contract by charge type, in exact dollars an interval. A line over several intervals counts in its last."""
    place = {over.end: t for t, over in enumerate(grid.intervals)}
    usd: dict[str, Any] = {}
    accrued: dict[str, bool] = {}
    for line in lines:
        amounts = usd.setdefault(line.charge_type, np.full(len(grid), ZERO, dtype=object))
        amounts[place[line.over.end]] += line.amount_usd
        accrued[line.charge_type] = line.accrued
    one = np.full(len(grid), decimal(1), dtype=object)
    return tuple(Charge(kind, amounts, USD, one, accrued=accrued[kind]) for kind, amounts in usd.items())
