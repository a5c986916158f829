"""How the market takes the energy bid of a load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from optimizer.domain.site import Scope, Site


@dataclass(frozen=True, slots=True)
class EnergyBidTerms:
    """What holds for the energy bid of a contract's load on an operating day.

    settlement_point   where that energy settles; None: at the meter's own settlement point
    cap_usd_per_mwh    the most that a MWh may be bid at; None: whatever it earns
    """

    settlement_point: str | None = None
    cap_usd_per_mwh: float | None = None


class _BiddingLoad(Protocol):
    scope: Scope

    def energy_bid(self, on: date) -> EnergyBidTerms: ...


def bid_terms(book: Iterable[_BiddingLoad], site: Site, groups: Sequence[str], on: date) -> EnergyBidTerms:
    """What holds for the bid of some groups of a meter: by the first contract of a book that says it of one of them."""
    said = [o.energy_bid(on) for o in book if set(groups) & set(o.scope.names(site))]
    return EnergyBidTerms(
        next((terms.settlement_point for terms in said if terms.settlement_point is not None), None),
        min((terms.cap_usd_per_mwh for terms in said if terms.cap_usd_per_mwh is not None), default=None),
    )


def settles_at(book: Iterable[_BiddingLoad], site: Site, group: str, on: date) -> str:
    """The settlement point whose price the energy of a group is settled at on an operating day."""
    return bid_terms(book, site, (group,), on).settlement_point or site.meter_of[group].settlement_point
