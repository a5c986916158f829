"""Gaps of a day: intervals that were run and that no contract is billed for, because a price or a reading is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from dispatch.settlement.document import Coverage, DayStatement, Gaps
from markets import counted, usd_text
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import with_settling_contracts
from optimizer.domain.gap_intervals import gap_positions
from optimizer.domain.money import ZERO, cents, plain
from optimizer.domain.obligation import Obligation


def gaps_of(book: Sequence[Obligation], actuals: Actuals) -> Gaps:
    """What is left out of a bill over `actuals`, whose own `gaps` are the intervals that nobody ran."""
    positions = gap_positions(actuals) - actuals.gaps
    ready = with_settling_contracts(book, actuals)
    known = replace(ready, energy_mwh=actuals.energy_mwh, hash_ph_days=actuals.hash_ph_days, gaps=actuals.gaps)
    spans = {actuals.grid.intervals[n] for n in positions}
    lines = (line for o in book if o.takes_pool_fee for line in o.settle(known) if line.over in spans)
    return {
        "intervals": len(positions),
        "first": min(over.start for over in spans).isoformat() if spans else None,
        "energy_mwh": plain(_known(actuals.energy_mwh.values(), positions)),
        "hash_ph_days": plain(_known(actuals.hash_ph_days.values(), positions)),
        "hash_revenue_usd": f"{cents(sum((line.amount_usd for line in lines), ZERO)):.2f}",
    }


def gaps_of_days(days: Sequence[DayStatement]) -> Gaps:
    """The gaps of several days, added up."""
    own = [d["gaps"] for d in days]
    return {
        "intervals": sum(gaps["intervals"] for gaps in own),
        "first": min((gaps["first"] for gaps in own if gaps["first"]), default=None),
        "energy_mwh": plain(sum((Decimal(gaps["energy_mwh"]) for gaps in own), ZERO)),
        "hash_ph_days": plain(sum((Decimal(gaps["hash_ph_days"]) for gaps in own), ZERO)),
        "hash_revenue_usd": f"{sum((Decimal(gaps['hash_revenue_usd']) for gaps in own), ZERO):.2f}",
    }


def coverage_without_figures(day: DayStatement) -> Coverage:
    """A day's coverage for a reader who may not see the site's own figures, such as a tenant."""
    gaps: Gaps = {**day["gaps"], "energy_mwh": "0", "hash_ph_days": "0", "hash_revenue_usd": "0.00"}
    return {"net_covers": f"{day['net_covers'].partition(' (')[0].removesuffix('.')}.", "gaps": gaps}


def coverage(gaps: Gaps, billed: int, whole: int) -> str:
    """What a day's net covers: `billed` intervals of the `whole` day's."""
    text = f"The net covers {billed} of {counted(whole, 'interval')} of the day"
    not_run = whole - billed - gaps["intervals"]
    reasons = [f"{not_run} were not run"] if not_run else []
    if gaps["intervals"]:
        left_out = f"{Decimal(gaps['energy_mwh']):.3f} MWh and {Decimal(gaps['hash_ph_days']):.3f} PH/s-days"
        worth = f"{usd_text(Decimal(gaps['hash_revenue_usd']))} of hash revenue"
        reasons.append(f"{gaps['intervals']} have no price or no reading and are left out of every line ({left_out}, {worth} not booked)")
    return f"{text}: {'; '.join(reasons)}." if reasons else f"{text}."


def _known(rows: Iterable[Sequence[Decimal]], positions: frozenset[int]) -> Decimal:
    return sum((values[n] for values in rows for n in positions if not values[n].is_nan()), ZERO)
