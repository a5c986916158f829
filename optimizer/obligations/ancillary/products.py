"""The reserve products of ERCOT, which kind of load may sell which (Nodal Protocols 3.16, 8.1.1.2), and how an award settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from optimizer.domain.formula import Quantities, per_interval
from optimizer.domain.market_rules import Dated, days, rule

DOWN = ("REGDN",)
Product = Literal["REGUP", "REGDN", "RRS", "RRSFFR", "RRSUFR", "ECRS", "NSPIN"]
# What each kind of load may sell; the parts of RRS that a frequency relay carries are named apart.
OF_KIND = {
    "clr": ("REGUP", "REGDN", "RRS", "RRSFFR", "ECRS", "NSPIN"),
    "nclr": ("RRSFFR", "RRSUFR", "ECRS", "NSPIN"),
}
ARMED = ("RRSFFR", "RRSUFR")


def two_settlements(its: Quantities[Any], rules: Sequence[Dated]) -> Any:
    """One in each interval in which a day-ahead award is a forward that is bought back in real time, zero where failing to provide is
    charged, shape (n,)."""
    on = days(its.grid, its.site.market)
    ways = {day: rule(rules, "ercot.as.imbalance", day).value for day in dict.fromkeys(on)}
    return per_interval(its, [1 if ways[day] == "two settlements" else 0 for day in on])
