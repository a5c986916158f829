"""Exclusive: promises that one megawatt cannot keep at once, refused when a book is read, each with the rule that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch.faults import Fault
from markets.grid import Market
from optimizer.obligations import Obligation
from optimizer.site import Site

ERCOT, MISO = Market.ERCOT, Market.MISO
# Which market has the services that are one market's own.
SERVICE_OF = {"ancillary": ERCOT, "ers": ERCOT, "lmr": MISO, "drr": MISO, "edr": MISO, "pra": MISO}
# Two contracts of these types on the same rigs sell their megawatts twice.
SELLS_LOAD = {
    frozenset(("ancillary",)): "two contracts sell the reserve of the same rigs (ERCOT Nodal Protocols 3.16: a MW is sold once)",
    frozenset(("ers",)): "two contracts promise the same rigs to ERS (ERCOT Nodal Protocols 3.14.3: a resource has one obligation)",
    frozenset(("ancillary", "ers")): "a MW may not be ERS and ancillary service in the same interval (ERCOT Nodal Protocols 3.14.3)",
    frozenset(("lmr",)): "two contracts register the same rigs as capacity (MISO BPM-011: a resource is registered once)",
    frozenset(("drr",)): "two contracts sell the reduction of the same rigs (MISO BPM-002: a resource is registered once)",
    frozenset(("edr",)): "two contracts offer the same rigs for emergencies (MISO Schedule 30: a resource is registered once)",
    frozenset(("lmr", "edr")): "a MW may not be LMR and EDR (MISO Tariff, Module E-1, ER25-1729: no double registration)",
}


def faults(site: Site, book: Sequence[tuple[int | None, Obligation]]) -> Iterator[Fault]:
    """Contracts with their positions in the file: what the market does not have, and what is promised twice."""
    sells = [(n, o) for n, o in book if type(o).type in SERVICE_OF]
    for k, (n, obligation) in enumerate(sells):
        at: tuple[str | int, ...] = ("obligations",) if n is None else ("obligations", n)
        home = SERVICE_OF[type(obligation).type]
        if site.market is not home:
            yield at, f"{type(obligation).type!r} is a service of {home.value.upper()}; the site is in {site.market.value}"
        mine = obligation.scope.names(site)
        for _, other in sells[:k]:
            both = [g for g in mine if g in other.scope.names(site)]
            rule = SELLS_LOAD.get(frozenset((type(obligation).type, type(other).type)))
            if both and rule:
                yield (*at, "scope"), f"shares {', '.join(both)} with {other.name!r}: {rule}"
