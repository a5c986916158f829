"""What an agent keeps of the money it passes on: a qualified scheduling entity, a retail provider or a curtailment service provider.

    site cash = - share x what the named contracts pay - what is missing of the month's least fee

Each charge of a named contract has its own line: the dollars it pays (negative where it charges) times the share. The least fee is spread
over the hours of the month; each bill charges what is missing of it by then, less what was missing before, so that the month comes to the
higher of shares and least fee. Rates are dated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from markets import usd_text
from markets.grid import OperatingDay, months
from optimizer.domain.actuals import Actuals
from optimizer.domain.contract import Contract
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.dated_rates import DatedRate, in_force, in_order, month_share
from optimizer.domain.formula import Charge, Quantities, per_interval
from optimizer.domain.market_rules import days
from optimizer.domain.memory import PeriodMemory
from optimizer.domain.money import UnknownCharge
from optimizer.domain.obligation import Book
from optimizer.domain.other_charges import ChargeName, charged_on_faults, charges_on_others, contracts_of, unknown_on_others
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site import NotNegative, Site
from optimizer.domain.site_fault import SiteFault

LEAST = "What is missing of the least fee of the month (service agreement)"
SHARE = "Share of what the service pays, kept by the agent that passes it on (service agreement)"


class ShareRate(DatedRate):
    """Shares from an operating day on.

    shares               by contract, or by CONTRACT/CHARGE_TYPE, which goes before its contract
    least_usd_per_month  what the shares of a month come to at least
    """

    least_usd_per_month: NotNegative = 0.0
    shares: Mapping[ChargeName, Annotated[float, Field(ge=0, le=1)]] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareMemory(PeriodMemory):
    """Of the month so far, USD: what shares came to, and what they must come to."""

    kept_usd: float = 0.0
    least_usd: float = 0.0


class RevenueShare(Contract[ShareMemory]):
    """An agent's share of what other contracts of the book pay, at dated rates."""

    type: ClassVar[str] = "revenue_share"
    memory_type = ShareMemory
    name: str = "revenue_share"
    rates: tuple[ShareRate, ...] = Field(min_length=1)

    @field_validator("rates")
    @classmethod
    def _in_order(cls, rates: tuple[ShareRate, ...]) -> tuple[ShareRate, ...]:
        return in_order(rates)

    def charged_on(self) -> tuple[str, ...]:
        return contracts_of(self._names())

    def _names(self) -> list[str]:
        return [name for rate in self.rates for name in rate.shares]

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        return charged_on_faults(self, self._names(), book, ("rates",))

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        yield from (shares := self._shares(its))
        least = self._least(its)
        if (least != its.number(0)).any():
            month = months(its.site.market, its.grid)
            known = self.memory_from(its.memories).of_period(int(month[0]))
            missing = its.short(_kept_usd(its, shares), month, least, (known.kept_usd, known.least_usd))
            yield Charge("least_fee", missing, "usd", -its.during(None), LEAST, over_period=True)

    def memory_days(self) -> int:
        """A month, where it has a least fee."""
        return 31 if any(rate.least_usd_per_month for rate in self.rates) else 0

    def remember(self, memory: ShareMemory, then: Actuals) -> ShareMemory:
        """Its memory after a stretch of time: the month that the stretch ends in."""
        its = ActualQuantities.of(then)
        month = months(its.site.market, its.grid)
        kept, least = _kept_usd(its, self._shares(its)), self._least(its)
        here = np.flatnonzero((month == month[-1]) & ~its.in_gap()).tolist()
        before = memory.of_period(int(month[-1]))
        return replace(
            memory,
            period=int(month[-1]),
            kept_usd=before.kept_usd + sum(float(kept[t]) for t in here),
            least_usd=before.least_usd + sum(float(least[t]) for t in here),
        )

    def progress(self, memory: ShareMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """What shares came to of the month's least fee."""
        if memory.least_usd:
            yield ContractProgress(
                f"{self.name}: shares so far", memory.kept_usd, "USD", f"at least {usd_text(memory.least_usd)} is due by now"
            )

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        return unknown_on_others(self.name, actuals, self.rates, lambda rate: _kept(rate, float), SHARE)

    def _shares(self, its: Quantities[Any]) -> list[Charge[Any]]:
        return list(charges_on_others(its, self.rates, lambda rate: _kept(rate, its.number), SHARE))

    def _least(self, its: Quantities[Any]) -> Any:
        """The least fee of each interval; NaN where nothing is billed, so that it is not asked for."""
        rates = [in_force(self.rates, day) for day in days(its.grid, its.site.market)]
        least = month_share(its) * per_interval(its, [rate.least_usd_per_month if rate else 0.0 for rate in rates])
        return np.where(its.in_gap(), its.number(float("nan")), least)


def _kept_usd(its: Quantities[Any], shares: Iterable[Charge[Any]]) -> Any:
    """What shares come to, USD."""
    return its.sum([charge.quantity * -charge.rate for charge in shares])


def _kept(rate: ShareRate, number: Callable[[float], Any]) -> dict[str, Any]:
    """By charge name: minus its share."""
    return {name: -number(share) for name, share in rate.shares.items()}
