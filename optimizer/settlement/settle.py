"""Settlement of a book over what happened: exact Decimal lines, which Statement rounds once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from markets import counted
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import bills, with_every_plant, with_settling_contracts
from optimizer.domain.money import ZERO, Finding, Statement, UnknownCharge, decimal
from optimizer.domain.obligation import Obligation
from optimizer.domain.other_charges import read_in_order
from optimizer.domain.quantities import ActualQuantities


def settle(book: Sequence[Obligation], actuals: Actuals, *, round_each_interval: bool = False) -> Statement:
    """The statement of a book over actuals: each obligation's lines in the book's order, and findings for what is missing. An interval
    without a price or a reading (NaN) has no line of any contract and is named in a finding; it is never counted as zero. What a contract
    cannot compute is `unknown` and named in a finding."""
    actuals = with_every_plant(book, actuals)
    ready = with_settling_contracts(book, actuals)
    found = bills(book, ready)
    lines = tuple(line for bill in found for line in bill.lines)
    unknown = tuple(charge for bill in found for charge in bill.unknown)
    return Statement(lines, (*_gaps(actuals), *_unknown(unknown, actuals)), round_each_interval, unknown)


def net_usd(book: Sequence[Obligation], actuals: Actuals) -> Decimal:
    """The net of a book over actuals, exact and unrounded."""
    return settle(book, actuals).net_exact_usd


def carried_usd(book: Sequence[Obligation], actuals: Actuals) -> dict[str, Decimal]:
    """By "OBLIGATION/CHARGE_TYPE_carried": what a plan would leave to later hours of charges of a period (a month's demand), exact, with
    the sign of a line that takes it off (`periods.carried`)."""
    found: dict[str, Decimal] = {}
    its = ActualQuantities.of(with_settling_contracts(book, actuals))
    for obligation, charges in read_in_order(book, its, None, lambda contract, reader: contract.charges(reader)):
        for charge in charges:
            if charge.carried is None or not charge.carried.any():
                continue
            usd = [q * r * decimal(-share) for q, r, share in zip(charge.quantity, charge.rate, charge.carried, strict=True)]
            name = f"{obligation.name}/{charge.charge_type}_carried"
            found[name] = found.get(name, ZERO) + sum((u for u in usd if not u.is_nan()), ZERO)
    return found


def weighed_net_usd(book: Sequence[Obligation], actuals: Actuals) -> Decimal:
    """The net of a book over actuals with charges of a period weighed as in a plan, exact: what ways of running a day compare by."""
    return net_usd(book, actuals) + sum(carried_usd(book, actuals).values(), ZERO)


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
