"""Coincident charges whose peak is not known: each stretch of load without system load beside it, as a charge of unknown amount."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from markets.grid import Interval
from optimizer.domain.array_types import Numbers
from optimizer.domain.money import UnknownCharge
from optimizer.domain.quantities import ActualQuantities


@dataclass(frozen=True, slots=True)
class CoincidentCharge:
    """A charge by the load at coincident peaks. share: of the peak, in each interval, NaN where it is not known."""

    obligation: str
    charge_type: str
    share: Numbers
    rule: str


def unknown_at_peaks(charge: CoincidentCharge, load_mw: Numbers, its: ActualQuantities) -> Iterable[UnknownCharge]:
    """A charge of unknown amount for each stretch in which there is load and the share of the peak is not a number. Where the load itself
    is not known, its own finding says so."""
    why = f"no system load of {its.site.market.value.upper()} is known there"
    lacking = [share.is_nan() and not mw.is_nan() and bool(mw) for share, mw in zip(charge.share, load_mw, strict=True)]
    for is_lacking, stretch in groupby(range(len(lacking)), key=lambda n: lacking[n]):
        if is_lacking:
            at = list(stretch)
            over = Interval(its.grid.intervals[at[0]].start, its.grid.intervals[at[-1]].end)
            yield UnknownCharge(charge.obligation, charge.charge_type, over, "mw", why, charge.rule, accrued=True)
