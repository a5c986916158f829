"""The awards a day settles on: those its contracts sell, at the prices that the market published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from dispatch.signals.award_prices import published_prices
from dispatch.site_file.setup import Setup
from markets import counted
from markets.facts import Award
from markets.grid import Grid, Interval
from optimizer.domain.deployments import BASELINE
from optimizer.domain.money import Finding, usd_text
from optimizer.domain.reserve_awards import DAY_AHEAD, at_published_prices, differs, of

Published = Callable[[Award], list[tuple[Interval, float]]]


@dataclass(frozen=True, slots=True)
class DayAwards:
    """Awards without repeats and at published prices, and what a person should know of them."""

    awards: tuple[Award, ...]
    findings: tuple[Finding, ...]


def day_awards(engine: Engine, setup: Setup, received: Sequence[Award], grid: Grid, known_at: datetime | None) -> DayAwards:
    """Of the awards received, those that bear on a grid. Raises LedgerUnavailable."""
    sold = {o.name: o.award_terms(setup.site) for o in setup.book}
    here = [a for a in received if a.over.overlaps(grid.over)]
    unsold = [a for a in here if a.product not in sold.get(a.obligation, {})]
    sales = dict.fromkeys((a.obligation, a.product, a.market) for a in here if a not in unsold)
    held = [award for sale in sales for award in of(here, *sale)]

    def published(award: Award) -> list[tuple[Interval, float]]:
        return published_prices(engine, setup.site, setup.book, award, known_at)

    priced = at_published_prices(held, published)
    return DayAwards(priced, (*_unsold(unsold), *_differing(held, published), *_unpriced(priced)))


def _unsold(awards: Iterable[Award]) -> Iterable[Finding]:
    for obligation, product in dict.fromkeys((a.obligation, a.product) for a in awards):
        yield Finding("award-not-sold", f"an award of {product} to {obligation!r} is not settled: that contract does not sell it")


def _differing(awards: Sequence[Award], published: Published) -> Iterable[Finding]:
    """Awards that came with another price than the market published."""
    by_product: dict[tuple[str, str], list[str]] = {}
    for award in awards:
        came_with = award.mcpc_usd_per_mw_h
        other = [usd for _, usd in published(award) if came_with is not None and differs(came_with, usd)]
        if other:
            text = f"{usd_text(came_with or 0.0)} from {award.over.start:%H:%M} UTC, published {usd_text(other[0])}"
            by_product.setdefault((award.obligation, award.product), []).append(text)
    for (obligation, product), texts in by_product.items():
        what = f"{counted(len(texts), 'award')} of {product} to {obligation!r} came with another price than the market published"
        yield Finding("award-price-differs", f"{what}, which pays: first {texts[0]}")


def _unpriced(awards: Sequence[Award]) -> Iterable[Finding]:
    """Day-ahead awards that nothing is known to pay yet; a baseline has no price, and real-time reserve settles at its own price."""
    none = [a for a in awards if a.mcpc_usd_per_mw_h is None and a.product != BASELINE and a.market == DAY_AHEAD]
    for obligation, product in dict.fromkeys((a.obligation, a.product) for a in none):
        hours = sum(a.over.hours for a in none if (a.obligation, a.product) == (obligation, product))
        yield Finding(
            "award-price-unknown", f"the price of {product} awarded to {obligation!r} is not known for {hours:g} h: not billed yet"
        )
