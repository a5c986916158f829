"""What a contract says of the awards it takes: reserve up to what is qualified and can be drawn, and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.domain.deployments import BASELINE
from optimizer.domain.reserve_awards import DAY_AHEAD, ENERGY, REAL_TIME
from optimizer.domain.site import Scope, Site, meters_in, most_load_mw


@dataclass(frozen=True, slots=True)
class AwardTerms:
    """What awards of one product a contract takes.

    markets    of "DAM" (day-ahead), "RT" (real time) and "SASM" (supplemental)
    most_mw    the most that can be awarded, MW
    most_of    what sets that limit, in words
    qualified  the market has qualified a number of MW, which `most_mw` does not exceed
    floor_mw   the load that is never dropped for it, MW; None: what is carried of it does not follow from the load
    limited_by what limits what is carried of it beside the load and `most_mw`, in words; empty: nothing
    price_at   the settlement point whose day-ahead energy price pays it; None: the clearing price of the product, or no price at all
    """

    markets: tuple[str, ...]
    most_mw: float
    most_of: str
    price_at: str | None = None
    qualified: bool = False
    floor_mw: float | None = None
    limited_by: str = ""


def can_draw(site: Site, scope: Scope) -> tuple[float, str]:
    """The most the rigs of a scope can draw, MW, and how a refusal names that limit."""
    return most_load_mw(site, scope.names(site)), "what its rigs can draw"


def reserve_terms(
    site: Site, scope: Scope, products: Sequence[str], qualified_mw: Mapping[Any, float], *more_markets: str
) -> dict[str, AwardTerms]:
    """Of each product, day-ahead, in real time and in more markets, at most what is qualified and what the rigs can draw."""
    drawn = can_draw(site, scope)
    limits = {p: min((qualified_mw.get(p, float("inf")), f"its qualified_mw of {p}"), drawn) for p in products}
    return {
        product: AwardTerms((DAY_AHEAD, REAL_TIME, *more_markets), *limit, qualified=product in qualified_mw)
        for product, limit in limits.items()
    }


def reduction_terms(
    site: Site, scope: Scope, mw: float, reserves: Sequence[str], qualified_mw: Mapping[Any, float]
) -> dict[str, AwardTerms]:
    """A reduction of at most `mw` that is dispatched as energy, at the price of its first meter's settlement point; the reserve sold beside
    it, and its baseline."""
    point = next((meter.settlement_point for meter, _ in meters_in(site, scope)), None)
    energy = {ENERGY: AwardTerms((DAY_AHEAD, REAL_TIME), mw, "its mw", point)}
    return {**energy, **reserve_terms(site, scope, reserves, qualified_mw), **baseline_terms(site, scope)}


def reserves_fault(reserves: Sequence[str], qualified: Sequence[str]) -> str:
    """What is wrong with the reserve a contract sells, of which `qualified` name a limit; empty when nothing is."""
    if len(set(reserves)) < len(reserves):
        return "reserves: one is listed twice"
    strange = [product for product in qualified if product not in reserves]
    return f"qualified_mw: {strange[0]} is not among its reserves" if strange else ""


def baseline_terms(site: Site, scope: Scope) -> dict[str, AwardTerms]:
    """A baseline that the market tells, in place of the registered one: at most what the rigs can draw."""
    return {BASELINE: AwardTerms((REAL_TIME,), *can_draw(site, scope))}
