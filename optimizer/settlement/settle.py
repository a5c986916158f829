"""Settle: the bill of a book over what happened. Exact Decimal lines; money.py rounds, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from optimizer.domain.actuals import Actuals
from optimizer.domain.book import energy_settled_by, generators_by_meter, hash_settled_by
from optimizer.domain.money import Finding, Line, Statement
from optimizer.domain.obligation import Obligation
from optimizer.domain.quantities import ActualQuantities


def settle(book: Sequence[Obligation], actuals: Actuals, *, round_each_interval: bool = False) -> Statement:
    """The statement of a book over actuals: each obligation's lines in the book's order, and what is missing as findings. An interval
    without a price or a reading (NaN) has no line; it is named, never counted as zero silently."""
    ready = with_takeovers(book, actuals)
    lines: list[Line] = []
    for obligation in book:
        lines.extend(obligation.settle(ready))
    return Statement(tuple(lines), tuple(_gaps(actuals)), round_each_interval)


def with_takeovers(book: Sequence[Obligation], actuals: Actuals) -> Actuals:
    """The same actuals, saying which contract settles whose energy, and what is generated where."""
    during = ActualQuantities.of(actuals).during
    return replace(
        actuals,
        settled_by=dict[str, Any](energy_settled_by(book, actuals.site, during)),
        hashed_by=dict[str, Any](hash_settled_by(book, actuals.site, during)),
        generators=generators_by_meter(book, actuals.site),
    )


def net_usd(book: Sequence[Obligation], actuals: Actuals) -> Decimal:
    """The exact net, unrounded."""
    return settle(book, actuals).net_exact_usd


def _gaps(actuals: Actuals) -> Iterable[Finding]:
    stretches: Mapping[str, Mapping[str, Sequence[Decimal]]] = {
        "price": actuals.energy_price,
        "energy": actuals.energy_mwh,
        "generation": actuals.generated_mwh,
        "hashrate": actuals.hash_ph_days,
        "hashprice": {"": actuals.hashprice},
    }
    for what, by in stretches.items():
        for of, values in by.items():
            missing = [i for i, v in enumerate(values) if v.is_nan()]
            if missing:
                first = actuals.grid.intervals[missing[0]].start.isoformat()
                yield Finding(
                    "gap", f"no {what} {of} for {len(missing)} of {len(values)} intervals, first {first}: they are not in the lines"
                )
    if actuals.estimated:
        yield Finding("estimated", f"{len(actuals.estimated)} intervals settle on an estimate, not on a reading")
