"""Which implausible figures another source, or a later publication, confirms. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

from markets.facts import Fact, HashEconomics, HashPrice, IndicativePrices, IndicativeReservePrices, Price, ReservePrice, Temperature
from markets.quarantine.plausible import implausible

F = TypeVar("F", bound=Fact)
_SAME = 0.005  # prices are published to the cent


def believed_and_quarantined(facts: Iterable[F]) -> tuple[list[F], list[F]]:
    """The facts that can be used, in their order, and those that wait: each implausible one that no other source and no later publication
    among `facts` agrees with."""
    listed = list(facts)
    doubtful = [fact for fact in listed if implausible(fact)]
    waiting = [fact for fact in doubtful if not any(_agree(fact, other) for other in doubtful)]
    out = {id(fact) for fact in waiting}
    return [fact for fact in listed if id(fact) not in out], waiting


def _agree(one: Fact, other: Fact) -> bool:
    # A market publishes an interval again when it has checked it; a source of hashprices only repeats itself.
    apart = one.source != other.source or (isinstance(one, Price | ReservePrice) and one.known_at != other.known_at)
    (key, value), (other_key, other_value) = _figure(one), _figure(other)
    return apart and key == other_key and abs(value - other_value) < _SAME


def _figure(fact: Fact) -> tuple[Hashable, float]:
    """What a fact is about, and its figure."""
    if isinstance(fact, Price):
        return (fact.point, fact.market, fact.over), fact.usd_per_mwh
    if isinstance(fact, ReservePrice):
        return (fact.product, fact.market, fact.over), fact.usd_per_mw_h
    if isinstance(fact, IndicativePrices):
        return (fact.point, IndicativePrices, fact.over), max(fact.usd_per_mwh, key=abs)
    if isinstance(fact, IndicativeReservePrices):
        return (fact.product, IndicativeReservePrices, fact.over), max(fact.usd_per_mw_h, key=abs)
    if isinstance(fact, Temperature):
        return (Temperature, fact.over), fact.celsius
    if isinstance(fact, HashPrice):
        return HashPrice, fact.usd_per_ph_day
    assert isinstance(fact, HashEconomics)
    return fact.on, fact.btc_usd
