"""A book billed and remembered contract by contract, each after those that it charges on (other_charges.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optimizer.domain.actuals import Actuals
from optimizer.domain.book import energy_settled_by, generators_by_meter, hash_settled_by
from optimizer.domain.gap_intervals import NAN, without_gaps
from optimizer.domain.memory import Memory
from optimizer.domain.money import Line, UnknownCharge
from optimizer.domain.obligation import Obligation
from optimizer.domain.other_charges import reading_order
from optimizer.domain.quantities import ActualQuantities


@dataclass(frozen=True, slots=True)
class ContractBill:
    """A contract with its lines and its charges of unknown amount."""

    contract: Obligation
    lines: tuple[Line, ...]
    unknown: tuple[UnknownCharge, ...]


def with_settling_contracts(book: Sequence[Obligation], actuals: Actuals) -> Actuals:
    """The same actuals without gaps, stating which contract settles the energy and hashing of each group, and which generators are behind
    each meter."""
    during = ActualQuantities.of(actuals).during
    actuals = with_every_plant(book, actuals)
    return replace(
        without_gaps(actuals),
        settled_by=dict[str, Any](energy_settled_by(book, actuals.site, during)),
        hashed_by=dict[str, Any](hash_settled_by(book, actuals.site, during)),
        generators=generators_by_meter(book, actuals.site),
    )


def with_every_plant(book: Sequence[Obligation], actuals: Actuals) -> Actuals:
    """The same actuals with the generation of every wind or solar plant of the book: unknown where they say nothing of one, never zero."""
    machines = [machine for behind in generators_by_meter(book, actuals.site).values() for machine in behind]
    silent = {machine.name: [NAN] * len(actuals.grid) for machine in machines if machine.variable}
    return replace(actuals, generated_mwh={**silent, **actuals.generated_mwh}) if silent.keys() - actuals.generated_mwh.keys() else actuals


def bills(book: Sequence[Obligation], ready: Actuals) -> list[ContractBill]:
    """The bill of each contract, in the book's order, over actuals `with_settling_contracts`."""
    found: dict[int, ContractBill] = {}
    for n in reading_order(book):
        own = _with_bills(ready, book[n], list(found.values()))
        found[n] = ContractBill(book[n], tuple(book[n].settle(own)), tuple(book[n].unknown_charges(own)))
    return [found[n] for n in range(len(book))]


def remember(
    book: Sequence[Obligation], memories: Mapping[str, Memory], then: Actuals, of: Sequence[Obligation] | None = None
) -> dict[str, Memory]:
    """The memories of a book after a stretch of time, of those of its contracts that remember days, or of those in `of` alone. They leave
    out what bills leave out."""
    then = without_gaps(then)
    found = {o.name: remembered(book, o, memories, then) for o in (book if of is None else of) if o.memory_days()}
    return {**memories, **found}


def remembered(book: Sequence[Obligation], contract: Obligation, memories: Mapping[str, Memory], then: Actuals) -> Memory:
    """The memory of one contract of a book after a stretch of time without gaps. It reads the bills of those it charges on."""
    if contract.charged_on():
        others = _charged_on(book, contract)
        then = _with_bills(then, contract, bills(others, replace(with_settling_contracts(book, then), memory=memories)))
    memory: Memory = contract.remember(contract.memory_from(memories), then)
    return memory


def _with_bills(actuals: Actuals, contract: Obligation, done: Sequence[ContractBill]) -> Actuals:
    """The actuals with the bills of the contracts that one charges on."""
    others = [bill for bill in done if bill.contract.name in contract.charged_on()]
    if not others:
        return actuals
    lines, unknown = {b.contract.name: b.lines for b in others}, {b.contract.name: b.unknown for b in others}
    return replace(actuals, billed=lines, unknown=unknown)


def _charged_on(book: Sequence[Obligation], contract: Obligation) -> list[Obligation]:
    """The contracts that one charges on, and those that these charge on in turn."""
    names = set(contract.charged_on())
    while more := {name for o in book if o.name in names for name in o.charged_on()} - names:
        names |= more
    return [o for o in book if o.name in names]
