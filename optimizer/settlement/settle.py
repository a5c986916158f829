"""Settlement of a book over what happened: exact Decimal lines, which Statement rounds once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from markets import counted
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import energy_settled_by, generators_by_meter, hash_settled_by
from optimizer.domain.gap_intervals import without_gaps
from optimizer.domain.money import Finding, Line, Statement, UnknownCharge
from optimizer.domain.obligation import Obligation
from optimizer.domain.other_charges import reading_order
from optimizer.domain.quantities import ActualQuantities


def settle(book: Sequence[Obligation], actuals: Actuals, *, round_each_interval: bool = False) -> Statement:
    """The statement of a book over actuals: each obligation's lines in the book's order, and findings for what is missing. An interval
    without a price or a reading (NaN) has no line of any contract and is named in a finding; it is never counted as zero. What a contract
    cannot compute is `unknown` and named in a finding."""
    ready = with_settling_contracts(book, actuals)
    billed: dict[int, tuple[Line, ...]] = {}
    left_open: dict[int, tuple[UnknownCharge, ...]] = {}
    for n in reading_order(book):
        obligation, own = book[n], _with_others(book, n, ready, billed, left_open)
        billed[n], left_open[n] = tuple(obligation.settle(own)), tuple(obligation.unknown_charges(own))
    lines = tuple(line for n in range(len(book)) for line in billed[n])
    unknown = tuple(charge for n in range(len(book)) for charge in left_open[n])
    return Statement(lines, (*_gaps(actuals), *_unknown(unknown, actuals)), round_each_interval, unknown)


def _with_others(
    book: Sequence[Obligation],
    n: int,
    ready: Actuals,
    billed: Mapping[int, tuple[Line, ...]],
    unknown: Mapping[int, tuple[UnknownCharge, ...]],
) -> Actuals:
    """The actuals of a contract, with the lines and the unknown charges of those that it charges on."""
    others = [k for k in billed if book[k].name in book[n].charged_on()]
    if not others:
        return ready
    return replace(ready, billed={book[k].name: billed[k] for k in others}, unknown={book[k].name: unknown[k] for k in others})


def with_settling_contracts(book: Sequence[Obligation], actuals: Actuals) -> Actuals:
    """The same actuals without gaps, stating which contract settles the energy and hashing of each group, and which generators are behind
    each meter."""
    during = ActualQuantities.of(actuals).during
    return replace(
        without_gaps(actuals),
        settled_by=dict[str, Any](energy_settled_by(book, actuals.site, during)),
        hashed_by=dict[str, Any](hash_settled_by(book, actuals.site, during)),
        generators=generators_by_meter(book, actuals.site),
    )


def net_usd(book: Sequence[Obligation], actuals: Actuals) -> Decimal:
    """The net of a book over actuals, exact and unrounded."""
    return settle(book, actuals).net_exact_usd


def _unknown(unknown: Sequence[UnknownCharge], actuals: Actuals) -> Iterable[Finding]:
    for name in dict.fromkeys(charge.name for charge in unknown):
        own = [charge for charge in unknown if charge.name == name]
        number = sum(over.overlaps(charge.over) for charge in own for over in actuals.grid.intervals)
        of = f"{number} of {counted(len(actuals.grid), 'interval')}, first {own[0].over.start.isoformat()}"
        yield Finding("unknown-charge", f"the amount of {name} is unknown for {of}: {own[0].why}; the net does not cover it")


def _gaps(actuals: Actuals) -> Iterable[Finding]:
    by_kind: Mapping[str, Mapping[str, Sequence[Decimal]]] = {
        "price": actuals.energy_price,
        "energy": actuals.energy_mwh,
        "generation": actuals.generated_mwh,
        "hashrate": actuals.hash_ph_days,
        "hashprice": {"": actuals.hashprice},
    }
    for what, by in by_kind.items():
        for of, values in by.items():
            missing = [i for i, v in enumerate(values) if v.is_nan() and i not in actuals.gaps]
            if missing:
                first = actuals.grid.intervals[missing[0]].start.isoformat()
                number = f"{len(missing)} of {counted(len(values), 'interval')}"
                yield Finding("missing-data", f"no {f'{what} {of}'.rstrip()} for {number}, first {first}: they are not billed")
    if actuals.estimated:
        number = counted(len(actuals.estimated), "interval")
        yield Finding("estimated", f"{number} settled on an estimate, not on a reading")
