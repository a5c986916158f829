"""Exclusive: promises that one megawatt cannot keep at once, refused when a book is read, each with the rule that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dispatch.site_file.errors import ConfigFault, Where
from markets.grid import Market
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Site

ERCOT, MISO = Market.ERCOT, Market.MISO
# Which market has the services that are one market's own.
SERVICE_OF = {"ancillary": ERCOT, "ers": ERCOT, "tdu": ERCOT, "sb6": ERCOT, "lmr": MISO, "drr": MISO, "edr": MISO, "pra": MISO}
NO_OTHER = "the large-load service is not open to loads that follow prices or sell another service (SB 6, PUCT Project 58482)"
# Two contracts of these types on the same rigs sell their megawatts twice.
SELLS_LOAD = {
    frozenset(("ancillary",)): "two contracts sell the reserve of the same rigs (ERCOT Nodal Protocols 3.16: a MW is sold once)",
    frozenset(("ers",)): "two contracts promise the same rigs to ERS (ERCOT Nodal Protocols 3.14.3: a resource has one obligation)",
    frozenset(("ancillary", "ers")): "a MW may not be ERS and ancillary service in the same interval (ERCOT Nodal Protocols 3.14.3)",
    frozenset(("lmr",)): "two contracts register the same rigs as capacity (MISO BPM-011: a resource is registered once)",
    frozenset(("drr",)): "two contracts sell the reduction of the same rigs (MISO BPM-002: a resource is registered once)",
    frozenset(("edr",)): "two contracts offer the same rigs for emergencies (MISO Schedule 30: a resource is registered once)",
    frozenset(("drr", "edr")): "two contracts are paid for one reduction (MISO Schedule 30: a resource is registered once)",
    frozenset(("tdu",)): "two programmes of the utility pay for the same rigs (utility tariff, load management)",
    frozenset(("tdu", "ers")): "a load in a utility's load management may not be in ERS (16 TAC 25.507; utility tariff)",
    frozenset(("sb6",)): NO_OTHER,
    **{frozenset(("sb6", other)): NO_OTHER for other in ("ancillary", "ers", "tdu", "sell-back", "strike")},
    frozenset(("lmr", "edr")): "a MW may not be LMR and EDR (MISO Tariff, Module E-1, ER25-1729: no double registration)",
}


def double_selling_faults(site: Site, book: Sequence[tuple[int | None, Obligation]]) -> Iterator[ConfigFault]:
    """Contracts with their positions in the file: what the market does not have, and what is promised twice."""
    for k, (n, obligation) in enumerate(book):
        where: Where = ("obligations",) if n is None else ("obligations", n)
        kind, mine = sold_as(obligation), obligation.scope.names(site)
        home = SERVICE_OF.get(kind)
        if home is not None and site.market is not home:
            text = f"{type(obligation).type!r} is a service of {home.value.upper()}; the site is in {site.market.value}"
            yield ConfigFault(where, text)
        for _, other in book[:k]:
            both = [g for g in mine if g in other.scope.names(site)]
            rule = SELLS_LOAD.get(frozenset((kind, sold_as(other))))
            if both and rule:
                yield ConfigFault((*where, "scope"), f"shares {', '.join(both)} with {other.name!r}: {rule}")


def oversold(site: Site, book: Sequence[Obligation]) -> Iterator[str]:
    """In words, services of more megawatts than their rigs draw at full load and 25 C."""
    for obligation in book:
        if sold_as(obligation) not in SERVICE_OF or not (sold := _sold_mw(obligation)):
            continue
        names = obligation.scope.names(site)
        draws = sum(site.group(g).rigs * site.group(g).full.watts / 1e6 * (1 + site.hall_of[g].overhead.at(25.0)) for g in names)
        if sold > draws * 1.001:
            yield f"{obligation.name!r} speaks of {sold:.3f} MW, its rigs draw {draws:.3f} MW at full load"


def _sold_mw(obligation: Any) -> float:
    """The most megawatts a service may need to drop: what it promises, or what it is qualified for."""
    return float(getattr(obligation, "mw", 0.0) or max(getattr(obligation, "qualified_mw", {}).values(), default=0.0))


def sold_as(obligation: Any) -> str:
    """What a contract makes of its rigs: its programme, how it follows prices, or its type."""
    kind = type(obligation).type
    if kind == "load_management":
        return str(obligation.program)
    if kind == "block" and getattr(obligation, "sell_back", None) is not None:
        return "sell-back"
    if kind == "hosting" and getattr(obligation, "strike_usd_per_mwh", None) is not None:
        return "strike"
    return str(kind)
