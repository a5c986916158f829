"""A percentage tax on chosen charges, as sales tax is, or on chosen receipts, as gross-receipts tax is.

    site cash = p (1 - e) c     c what the named contracts charge (negative); p percent of it, of which the share e is exempt
    site cash = - p (1 - e) r   r what the named contracts pay

A credit on a taxed charge takes its tax back. Rates are dated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from optimizer.domain.actuals import Actuals
from optimizer.domain.contract import Contract
from optimizer.domain.dated_rates import DatedRate, in_order
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.money import UnknownCharge
from optimizer.domain.obligation import Book
from optimizer.domain.other_charges import ChargeName, charged_on_faults, charges_on_others, contracts_of, unknown_on_others
from optimizer.domain.site import Site
from optimizer.domain.site_fault import SiteFault

TAX = "Percentage tax on the named charges or receipts, less what is exempt (tax law; exemption certificate)"
PERCENT = 100


class TaxRate(DatedRate):
    """A tax from an operating day on.

    percent        of what is taxed
    charges        taxed where they cost the site: contracts, or CONTRACT/CHARGE_TYPE
    receipts       taxed where they pay the site
    exempt_share   of what is taxed, by an exemption
    """

    percent: Annotated[float, Field(ge=0, lt=100)]
    charges: tuple[ChargeName, ...] = ()
    receipts: tuple[ChargeName, ...] = ()
    exempt_share: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _taxes_something_once(self) -> TaxRate:
        named = [*self.charges, *self.receipts]
        if not named or len(set(named)) < len(named):
            raise ValueError("names in charges or receipts what is taxed, each once")
        return self


class PercentageTax(Contract):
    """A tax on what other contracts of the book charge or pay, at dated rates."""

    type: ClassVar[str] = "percentage_tax"
    name: str = "percentage_tax"
    rates: tuple[TaxRate, ...] = Field(min_length=1)

    @field_validator("rates")
    @classmethod
    def _in_order(cls, rates: tuple[TaxRate, ...]) -> tuple[TaxRate, ...]:
        return in_order(rates)

    def charged_on(self) -> tuple[str, ...]:
        return contracts_of(self._names())

    def _names(self) -> list[str]:
        return [name for rate in self.rates for name in (*rate.charges, *rate.receipts)]

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        return charged_on_faults(self, self._names(), book, ("rates",))

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        return charges_on_others(its, self.rates, lambda rate: _taxed(rate, its.number), TAX)

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        return unknown_on_others(self.name, actuals, self.rates, lambda rate: _taxed(rate, float), TAX)


def _taxed(rate: TaxRate, number: Callable[[float], Any]) -> dict[str, Any]:
    """By charge name: the part that is due, negative of receipts."""
    due = number(rate.percent) / number(PERCENT) * (number(1) - number(rate.exempt_share))
    return {**dict.fromkeys(rate.charges, due), **dict.fromkeys(rate.receipts, -due)}
