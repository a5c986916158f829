"""Whether a call or an award fits the contracts of the site: each fault as (key of the document, text)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from dispatch.site_file.errors import did_you_mean
from markets.facts import Call
from markets.grid import Interval
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Site, most_load_mw

Fault = tuple[str, str]
# A rounding of the sender's own is no fault.
TOLERANCE_MW = 1e-6
A_DAY, A_SECOND = timedelta(days=1), timedelta(seconds=1)


def contract_faults(obligation: str, book: Sequence[Obligation]) -> list[Fault]:
    """A contract that is not in the book."""
    return [] if _contract(obligation, book) else [_unknown(obligation, book)]


def call_faults(call: Call, site: Site, book: Sequence[Obligation]) -> list[Fault]:
    """A target or a reduction that the rigs of its contract cannot draw. A what-if may ask for one, and shows what is missing."""
    contract = _contract(call.obligation, book)
    most_mw = most_load_mw(site, contract.scope.names(site)) if contract else 0.0
    asked = (("mw_target", call.mw_target), ("mw_delta", call.mw_delta))
    return [
        (key, f"{abs(mw):g} MW is more than the rigs of {call.obligation!r} can draw: {most_mw:.3f} MW")
        for key, mw in asked
        if mw is not None and abs(mw) > most_mw + TOLERANCE_MW
    ]


def asks_for_nothing(call: Call, site: Site, book: Sequence[Obligation]) -> str:
    """A sentence where a cap is above what the rigs of its contract can draw, and the contract asks for no less by itself; else empty."""
    contract = _contract(call.obligation, book)
    if contract is None or call.mw_cap is None:
        return ""
    over = Interval(call.start_at, max(call.end_at or call.start_at + A_DAY, call.start_at + A_SECOND))
    most_mw, cap_mw = most_load_mw(site, contract.scope.names(site)), 0.0
    with PluginFailures().of(contract):
        cap_mw = contract.bounds(site, contract.memory_from({}), [call], over).cap_mw
    if cap_mw <= most_mw + TOLERANCE_MW:
        return ""
    return f"at most {call.mw_cap:g} MW asks for no reduction: the rigs of {call.obligation!r} can draw {most_mw:.3f} MW"


def award_faults(obligation: str, product: str, market: str, mw: float, site: Site, book: Sequence[Obligation]) -> list[Fault]:
    """A contract that is not in the book, a product or market it does not sell in, more megawatts than it can have sold."""
    contract = _contract(obligation, book)
    if contract is None:
        return [_unknown(obligation, book)]
    sold = contract.award_terms(site)
    terms = sold.get(product)
    if terms is None:
        has = f"it sells {', '.join(sold)}" if sold else "it takes no awards"
        return [("product", f"{obligation!r} does not sell {product!r}; {has}" + did_you_mean(product, sold))]
    found = []
    if market not in terms.markets:
        found.append(("market", f"{obligation!r} sells {product} in {' and '.join(terms.markets)}, not in {market}"))
    if mw > terms.most_mw + TOLERANCE_MW:
        found.append(("mw", f"{mw:g} MW is more than {terms.most_of}, {terms.most_mw:.3f} MW, of {obligation!r}"))
    return found


def _contract(name: str, book: Sequence[Obligation]) -> Obligation | None:
    return next((o for o in book if o.name == name), None)


def _unknown(name: str, book: Sequence[Obligation]) -> Fault:
    return "obligation", f"the book has no obligation {name!r}; it has {', '.join(o.name for o in book) or 'none'}"
