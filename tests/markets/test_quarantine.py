"""Implausible figures wait until another source, or a later publication, gives the same; they are neither clipped nor dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from markets.factbook import FactBook
from markets.facts import Fact, HashEconomics, ReservePrice
from markets.forecasting.ladder import outlook, plan_grid
from markets.grid import Interval, Market
from markets.quarantine.confirmation import believed_and_quarantined
from markets.quarantine.plausible import implausible
from tests.fakes import NOON, hashprice, price

ABSURD = 90_000.0


def economics(btc_usd: float) -> HashEconomics:
    return HashEconomics(
        source="pool", known_at=NOON, on=date(2026, 8, 19), difficulty=1.2e14, btc_usd=btc_usd, fees_btc_per_block=0.05, subsidy_btc=3.125
    )


def reserve(usd: float) -> ReservePrice:
    over = Interval(NOON, NOON + timedelta(hours=1))
    return ReservePrice(source="market", known_at=NOON, product="ECRS", market="DAM", over=over, usd_per_mw_h=usd)


@pytest.mark.parametrize("usd", [ABSURD, -1.0])
def test_an_implausible_price_of_reserve_waits_too(usd: float) -> None:
    book, over = FactBook().after([reserve(usd)]), reserve(usd).over
    assert book.quarantined == (reserve(usd),) and book.reserve("ECRS", over) == ()
    confirmed = book.after([replace(reserve(usd), source="another")])
    assert [fact.usd_per_mw_h for fact in confirmed.reserve("ECRS", over)] == [usd] and confirmed.quarantined == ()


@pytest.mark.parametrize("fact", [price(ABSURD, NOON), price(-ABSURD, NOON), hashprice(3.8e6, NOON), economics(9e9)])
def test_an_implausible_figure_is_not_used_but_kept_and_named(fact: Fact) -> None:
    book = FactBook().after([fact])
    assert book.quarantined == (fact,) and not book.prices.get(("LZ_WEST", price(1.0, NOON).market)) and book.hashprice(NOON) is None
    seen = outlook(book, NOON, plan_grid(NOON, 5, 1), ["LZ_WEST"], Market.ERCOT)
    assert any(fact.source in note and "not used until another source" in note for note in seen.notes)


@pytest.mark.parametrize("order", [1, -1])
def test_another_source_or_a_later_publication_releases_a_price(order: int) -> None:
    first = price(ABSURD, NOON)
    for second in (replace(first, source="another"), replace(first, known_at=first.known_at + timedelta(hours=1))):
        book = FactBook()
        for fact in (first, second)[::order]:
            book = book.after([fact])
        last = book.last_price("LZ_WEST")
        assert last is not None and last.usd_per_mwh == ABSURD and book.quarantined == ()
    other = replace(first, source="another", usd_per_mwh=ABSURD + 1)
    assert len(FactBook().after([first, other]).quarantined) == 2, "another figure does not confirm it"
    assert len(FactBook().after([first, first]).quarantined) == 1, "the same fact twice does not confirm itself"


def test_a_source_of_hashprices_does_not_confirm_itself() -> None:
    again = replace(hashprice(3.8e6, NOON), known_at=NOON + timedelta(minutes=5))
    assert believed_and_quarantined([hashprice(3.8e6, NOON), again])[0] == []


def test_a_plausible_correction_takes_the_place_of_a_figure_in_quarantine() -> None:
    book = FactBook().after([price(ABSURD, NOON)]).after([price(42.0, NOON, known_at=NOON + timedelta(hours=2))])
    last = book.last_price("LZ_WEST")
    assert last is not None and last.usd_per_mwh == 42.0


def test_settled_extremes_are_plausible_as_they_are() -> None:
    for usd, at in ((9_000.0, NOON.replace(year=2021, month=2, day=16)), (-251.0, NOON), (5_500.0, NOON)):
        assert implausible(price(usd, at)) == ""
    uri = Interval(NOON.replace(year=2021, month=2, day=16), NOON.replace(year=2021, month=2, day=16, hour=18))
    for usd in (0.0, 25_000.0):
        assert implausible(replace(reserve(usd), over=uri)) == ""
