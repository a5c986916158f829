"""A promise that a plan cannot keep."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.domain.row_kind import RowKind


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A promise that cannot be kept.

    promise  its name
    mw       the most it is missed by, MW; of a minimum time thousands of rigs
    usd      what missing it costs by the contract itself, positive
    repair   the cheapest way out
    hours    when, on the market's clock
    kind     the rows it comes from
    """

    promise: str
    mw: float
    usd: float
    repair: str
    hours: str = ""
    kind: RowKind = RowKind.OTHER
