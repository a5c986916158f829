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
from optimizer.domain.quantities import ActualQuantities


def settle(book: Sequence[Obligation], actuals: Actuals, *, round_each_interval: bool = False) -> Statement:
    """The statement of a book over actuals: each obligation's lines in the book's order, and findings for what is missing. An interval
    without a price or a reading (NaN) has no line of any contract and is named in a finding; it is never counted as zero. What a contract
    cannot compute is `unknown` and named in a finding."""
    ready = with_settling_contracts(book, actuals)
    lines: list[Line] = []
    unknown: list[UnknownCharge] = []
    for obligation in book:
        lines.extend(obligation.settle(ready))
        unknown.extend(obligation.unknown_charges(ready))
    return Statement(tuple(lines), (*_gaps(actuals), *_unknown(unknown, actuals)), round_each_interval, tuple(unknown))


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
