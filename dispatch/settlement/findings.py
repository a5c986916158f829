"""What a person should look at in a day's settlement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from dispatch.settlement.generation import generator_findings
from dispatch.settlement.measured_day import MeasuredDay
from markets import counted
from optimizer.domain.money import Finding, Statement, usd_text


def day_findings(measured: MeasuredDay, bill: Statement, breaches: Sequence[Finding]) -> list[Finding]:
    """Gaps in what the bill is made from, prices the market cannot publish, meters without readings or far from telemetry, and breaches."""
    return [
        *(finding for finding in bill.findings if finding.kind != "estimated"),  # estimates are counted in the notes
        *_below_floor(measured),
        *measured.award_findings,
        *measured.telemetry_findings,
        *generator_findings(measured.record),
        *measured.meters.findings(measured.actuals.grid),
        *breaches,
    ]


def _below_floor(measured: MeasuredDay) -> Iterable[Finding]:
    """ERCOT publishes no real-time settlement point price under its floor: such a price is wrong, and is billed as published."""
    day = measured.record.day
    rule = measured.setup.rules.find(f"{day.market.value}.price_floor", day.on)
    if rule is None or not rule.verified:
        return
    floor = Decimal(str(rule.value))
    for point, values in measured.actuals.energy_price.items():
        under = [usd for usd in values if not usd.is_nan() and usd < floor]
        if under:
            what = f"{counted(len(under), 'price')} at {point} below the floor of {usd_text(floor)}/MWh ({rule.published})"
            yield Finding("price-below-floor", f"{what}: lowest {usd_text(min(under))}/MWh, billed as published")
