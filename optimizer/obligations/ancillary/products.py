"""The reserve products of ERCOT, which kind of load may sell which (Nodal Protocols 3.16, 8.1.1.2), and how an award settles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

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
_KINDS = ("day_ahead", "imbalance", "failure")
CHARGE_TYPES = (*(f"{product.lower()}_{kind}" for product in get_args(Product) for kind in _KINDS), "set_point_deviation", "clr_energy")


def two_settlements(its: Quantities[Any], rules: Sequence[Dated]) -> Any:
    """One in each interval in which a day-ahead award is a forward that is bought back in real time, zero where failing to provide is
    charged, shape (n,)."""
    on = days(its.grid, its.site.market)
    ways = {day: rule(rules, "ercot.as.imbalance", day).value for day in dict.fromkeys(on)}
    return per_interval(its, [1 if ways[day] == "two settlements" else 0 for day in on])


def product_fault(kind: str, products: Sequence[str], qualified: Sequence[str], relay: bool) -> str:
    """Why a load of a kind may not sell these products, of which `qualified` name a limit; empty when it may."""
    if len(set(products)) < len(products):
        return "products: one is listed twice"
    for product in qualified:
        if product not in products:
            return f"qualified_mw: {product} is not among its products"
    for product in products:
        if product not in OF_KIND[kind]:
            return f"products: {product} is not sold by a load of kind {kind!r} (ERCOT Nodal Protocols 3.16, 8.1.1.2)"
        if product in ARMED and not relay:
            return f"products: {product} is carried by a frequency relay; relay = true says that one is armed"
    return ""
