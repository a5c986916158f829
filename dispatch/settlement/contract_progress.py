"""How far contracts with a month, a season or a year have come at the end of a day, from what each remembers of the time up to then."""

from __future__ import annotations

from collections.abc import Sequence

from dispatch.settlement.document import Figure
from markets.grid import OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.obligation import Obligation
from optimizer.settlement.settle import with_settling_contracts


def contract_progress(book: Sequence[Obligation], actuals: Actuals, day: OperatingDay) -> list[Figure]:
    """The figures of every contract that has any, in the book's order."""
    then = with_settling_contracts(book, actuals)
    return [
        {"name": progress.name, "value": f"{progress.value:.4f}", "unit": progress.unit, "how": progress.how}
        for o in book
        for progress in o.progress(o.remember(o.memory_from(then.memory), then), day)
    ]
