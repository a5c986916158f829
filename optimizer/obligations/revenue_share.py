"""What an agent keeps of the money it passes on: a qualified scheduling entity, a retail provider or a curtailment service provider.

    site cash = - share x what the named contract pays, in each interval     less the more where that stays under the month's least fee

Each charge of a named contract has its own line: the dollars it pays (negative where it charges) times the share. Shares are dated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from optimizer.domain.actuals import Actuals
from optimizer.domain.contract import Contract
from optimizer.domain.dated_rates import DatedRate, in_order
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.money import UnknownCharge
from optimizer.domain.obligation import Book, SiteFault
from optimizer.domain.other_charges import ChargeName, charged_on_faults, charges_on_others, contracts_of, unknown_on_others
from optimizer.domain.site import Site

SHARE = "Share of what the service pays, kept by the agent that passes it on (service agreement)"


class ShareRate(DatedRate):
    """Shares from an operating day on. `shares`: by contract, or by CONTRACT/CHARGE_TYPE, which goes before its contract."""

    shares: Mapping[ChargeName, Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)


class RevenueShare(Contract):
    """An agent's share of what other contracts of the book pay, at dated rates."""

    type: ClassVar[str] = "revenue_share"
    name: str = "revenue_share"
    rates: tuple[ShareRate, ...] = Field(min_length=1)

    @field_validator("rates")
    @classmethod
    def _in_order(cls, rates: tuple[ShareRate, ...]) -> tuple[ShareRate, ...]:
        return in_order(rates)

    def charged_on(self) -> tuple[str, ...]:
        return contracts_of(name for rate in self.rates for name in rate.shares)

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        return charged_on_faults(self, book, ("rates",))

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        return charges_on_others(its, self.rates, lambda rate: _kept(rate, its.number), SHARE)

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        return unknown_on_others(self.name, actuals, self.rates, lambda rate: _kept(rate, float), SHARE)


def _kept(rate: ShareRate, number: Callable[[float], Any]) -> dict[str, Any]:
    """By charge name: minus its share."""
    return {name: -number(share) for name, share in rate.shares.items()}
