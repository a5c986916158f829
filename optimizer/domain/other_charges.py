"""Contracts that charge a percentage of what other contracts charge or pay: the order in which a book is read, and their formula.

Such a contract names the others in `charged_on`, by contract or as CONTRACT/CHARGE_TYPE, and reads their dollars with
`Quantities.billed`: expressions in a program, exact lines in a bill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field

from optimizer.domain.actuals import Actuals
from optimizer.domain.billed_lines import USD, in_dollars
from optimizer.domain.dated_rates import DatedRate, in_force
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.market_rules import days
from optimizer.domain.money import UnknownCharge
from optimizer.domain.obligation import Obligation
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.site_fault import SiteFault

# A contract of the book, or one of its charge types as CONTRACT/CHARGE_TYPE.
ChargeName = Annotated[str, Field(min_length=1)]
# What part of the dollars of charges is due, by charge name.
Parts = Mapping[str, Any]
R = TypeVar("R", bound=DatedRate)
ChargesOf = Callable[[Obligation, ActualQuantities], Iterable[Charge[Any]]]


def reading_order(book: Sequence[Obligation]) -> list[int]:
    """Positions of a book's contracts, each after those it charges on; of a circle (which `check` refuses) in the book's order."""
    left, order = list(range(len(book))), list[int]()
    while left:
        waiting = {book[n].name for n in left}
        ready = [n for n in left if not waiting & (set(book[n].charged_on()) - {book[n].name})] or left
        order += ready
        left = [n for n in left if n not in ready]
    return order


def read_in_order(
    book: Sequence[Obligation], reader: ActualQuantities, faults: PluginFailures | None, charges_of: ChargesOf
) -> Iterator[tuple[Obligation, tuple[Charge[Any], ...]]]:
    """Each contract of a book with its charges, those on other contracts' charges last. What a contract raises is recorded in `faults` and
    it has no charges; without `faults` it is raised."""
    needed = {name for o in book for name in o.charged_on()}
    billed: dict[str, tuple[Charge[Any], ...]] = {}
    for obligation in (book[n] for n in reading_order(book)):
        charges: tuple[Charge[Any], ...] = ()
        with faults.of(obligation) if faults is not None else nullcontext():
            charges = tuple(charges_of(obligation, replace(reader, charged=dict(billed)) if obligation.charged_on() else reader))
        if obligation.name in needed:
            billed[obligation.name] = tuple(in_dollars(charge) for charge in charges)
        yield obligation, charges


def contracts_of(names: Iterable[str]) -> tuple[str, ...]:
    """The contracts of some charge names, each once."""
    return tuple(dict.fromkeys(name.partition("/")[0] for name in names))


def charges_on_others(its: Quantities[Any], rates: Sequence[R], part: Callable[[R], Parts], rule: str) -> Iterable[Charge[Any]]:
    """A charge OTHER_CHARGETYPE of each charge of the named contracts: its dollars times its part by the rate of the day. `part` gives the
    parts of a rate by charge name, in the reader's own kind of number; that of a CONTRACT/CHARGE_TYPE goes before that of its contract."""
    parts, zero = _by_interval(its, rates, part), its.number(0)
    for contract in contracts_of(name for here in parts for name in here):
        for charge in its.billed(contract):
            own = [here.get(f"{contract}/{charge.charge_type}", here.get(contract, zero)) for here in parts]
            if charge.over_period:
                # A program charges a period in its first interval, a bill where it arises: of two rates of the grid the dearer is planned.
                own = [max(own)] * len(own)
            if any(value != zero for value in own):
                rate = np.asarray(charge.rate) * np.array(own, dtype=np.asarray(charge.rate).dtype)
                yield replace(charge, charge_type=f"{contract}_{charge.charge_type}", rate=rate, rule=rule, price_at="", meter="")


def unknown_on_others(name: str, actuals: Actuals, rates: Sequence[R], part: Callable[[R], Parts], rule: str) -> Iterable[UnknownCharge]:
    """The same of charges whose amount is unknown."""
    if not actuals.unknown:
        return
    its = ActualQuantities.of(actuals)
    named = {name for here in _by_interval(its, rates, part) for name, value in here.items() if value}
    for contract in contracts_of(named):
        for charge in actuals.unknown.get(contract, ()):
            if named & {contract, charge.name}:
                kind = f"{contract}_{charge.charge_type}"
                yield replace(charge, obligation=name, charge_type=kind, unit=USD, why=f"{charge.name} is unknown", rule=rule)


def _by_interval(its: Quantities[Any], rates: Sequence[R], part: Callable[[R], Parts]) -> list[Parts]:
    """The parts that hold in each interval."""
    on = days(its.grid, its.site.market)
    by_day = {day: part(rate) if (rate := in_force(rates, day)) else {} for day in dict.fromkeys(on)}
    return [by_day[day] for day in on]


def charged_on_faults(own: Obligation, names: Iterable[str], book: Sequence[Obligation], key: tuple[str | int, ...]) -> Iterable[SiteFault]:
    """What is wrong with the charge names of a contract that charges on others: there is no such contract in the book or no such charge of
    it, or the other charges on this one in turn."""
    by_name = {o.name: o for o in book}
    for contract, _, charge_type in (name.partition("/") for name in dict.fromkeys(names)):
        known = by_name[contract].charge_types if contract in by_name else ()
        if charge_type and known and charge_type not in known:
            yield SiteFault(f"{contract!r} has no charge {charge_type!r}; it has {', '.join(known)}", key)
    for name in own.charged_on():
        if name not in by_name:
            yield SiteFault(f"there is no contract named {name!r}; the book has {', '.join(sorted(by_name))}", key)
        elif own.name in _all_charged_on(name, by_name):
            yield SiteFault(f"{name!r} is charged on {own.name!r}, which is charged on it: one of the two must go", key)


def _all_charged_on(name: str, by_name: Mapping[str, Obligation]) -> set[str]:
    """A contract and all that it charges on, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += by_name[one].charged_on() if one in by_name else ()
    return found
