"""Coincident charges that cannot be computed, because the system's load or the site's own is not known at the peak: each stretch as a
charge of unknown amount."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from markets.grid import Interval, Market
from optimizer.domain.array_types import Numbers
from optimizer.domain.money import UnknownCharge
from optimizer.domain.quantities import ActualQuantities

# Why a charge is not known where the system's peak is.
OWN_LOAD_UNKNOWN = "the system's peak is there, and the site's load, or a price beside it, is not known"


@dataclass(frozen=True, slots=True)
class CoincidentCharge:
    """A charge by the load at coincident peaks. share: of the peak, in each interval, NaN where it is not known."""

    obligation: str
    charge_type: str
    share: Numbers
    rule: str


def unknown_at_peaks(charge: CoincidentCharge, load_mw: Numbers, its: ActualQuantities) -> Iterable[UnknownCharge]:
    """A charge of unknown amount for each stretch in which the share of the peak is not a number and there is load, and for each in which
    the load is not a number and the peak is or may be there."""
    why = [_why(share, mw, its.site.market) for share, mw in zip(charge.share, load_mw, strict=True)]
    for reason, stretch in groupby(range(len(why)), key=lambda n: why[n]):
        if reason:
            at = list(stretch)
            over = Interval(its.grid.intervals[at[0]].start, its.grid.intervals[at[-1]].end)
            yield UnknownCharge(charge.obligation, charge.charge_type, over, "mw", reason, charge.rule, accrued=True)


def _why(share: Decimal, load_mw: Decimal, market: Market) -> str:
    """Why the charge of an interval is not known; empty where it is."""
    if load_mw.is_nan() and share.is_nan():
        return f"neither the site's load nor the system load of {market.value.upper()} is known there"
    if load_mw.is_nan():
        return OWN_LOAD_UNKNOWN if share else ""
    return f"no system load of {market.value.upper()} is known there" if share.is_nan() and load_mw else ""
