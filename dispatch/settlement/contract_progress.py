"""Figures of contracts beside their lines: how far those with a month, a season or a year have come at the end of a day, and the quantities
behind their bills."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.settlement.document import Figure
from dispatch.settlement.document_rows import BilledQuantityRow
from markets.grid import OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import remembered, with_settling_contracts
from optimizer.domain.money import Finding, plain
from optimizer.domain.obligation import Obligation
from optimizer.domain.quantities import ActualQuantities


def contract_progress(book: Sequence[Obligation], actuals: Actuals, day: OperatingDay) -> list[Figure]:
    """The figures of every contract that has any, in the book's order."""
    then = with_settling_contracts(book, actuals)
    return [
        {"name": progress.name, "value": f"{progress.value:.4f}", "unit": progress.unit, "how": progress.how}
        for o in book
        for progress in o.progress(remembered(book, o, then.memory, then), day)
    ]


def contract_findings(book: Sequence[Obligation], actuals: Actuals, day: OperatingDay) -> list[Finding]:
    """What the day's change of each contract's memory asks a person to look at, in the book's order."""
    then = with_settling_contracts(book, actuals)
    memories = [(o, o.memory_from(then.memory)) for o in book]
    return [finding for o, before in memories for finding in o.findings(before, remembered(book, o, then.memory, then), day)]


def billed_quantities(book: Sequence[Obligation], actuals: Actuals) -> list[BilledQuantityRow]:
    """The quantities behind the bill of every contract that counts any, in the book's order."""
    its = ActualQuantities.of(with_settling_contracts(book, actuals))
    return [
        {"obligation": o.name, "name": d.name, "quantity": plain(d.quantity), "unit": d.unit, "how": d.how}
        for o in book
        for d in o.billed_quantities(its)
    ]
