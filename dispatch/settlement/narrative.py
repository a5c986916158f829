"""The day in sentences an accountant can read: what was earned, why, what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from dispatch.entries import Hold, unpack
from dispatch.rigs import Outcome
from dispatch.settlement.actuals import Measured
from dispatch.settlement.day_journal import DayRecord
from dispatch.site_file.setup import Setup
from markets import counted
from optimizer.domain.calls import calls_in_force
from optimizer.domain.money import ZERO, Finding, Statement
from optimizer.domain.site import RigGroup

# By kind of finding: what it asks of a person.
TO_DO = {
    "gap": "Find the missing figures: what lies in a gap is not billed here, and will be by the market.",
    "call-not-kept": "Tell the QSE or the programme's desk why the instruction was not kept; the event's packet is at /api/v1/events/ID.",
    "price-below-floor": "Ask the source of the price: the market publishes none below its floor.",
}


def usd(amount: Decimal | str) -> str:
    """Dollars for a person: thousands apart, the sign before the figure."""
    return f"{Decimal(amount):,.2f} $"


def earned(setup: Setup, measured: Measured, statement: Statement) -> list[str]:
    """What came in and what went out."""
    net, a = statement.net_usd, measured.actuals
    receipts = sum((v for v in statement.totals.values() if v > 0), ZERO)
    costs = sum((v for v in statement.totals.values() if v < 0), ZERO)
    drawn, hashed = total(a.energy_mwh), total(a.hash_ph_days)
    hours = sum(o.hours for o in a.grid.intervals)
    most_mwh = sum(g.rigs * g.full.watts for g in setup.site.groups) / 1e6 * hours
    most_hash = sum(g.rigs * g.full.ths for g in setup.site.groups) / 1000 * hours / 24
    return [
        f"{setup.site.name} {'earned' if net >= 0 else 'lost'} {usd(abs(net))}: {usd(receipts)} came in, {usd(-costs)} went out.",
        f"It drew {drawn:,.3f} MWh at the meter and hashed {hashed:,.3f} PH/s-days, "
        f"{_percent(float(hashed), most_hash)} of what all of its rigs can do ({most_hash:,.3f}, for {most_mwh:,.3f} MWh at the rigs).",
    ]


def why(setup: Setup, measured: Measured, net: Decimal, others: Mapping[str, Any]) -> list[str]:
    """Where the load lay against prices, and what other ways of running would have earned."""
    said = [text for g in setup.site.groups if (text := _group(setup, measured, g))]
    if others:
        always, best = Decimal(others["always_on"]["net_usd"]), Decimal(others["perfect_foresight"]["net_usd"])
        said.append(f"Running always would have earned {usd(always)}: following prices {_more(net - always)}.")
        share = f"; the site reached {_percent(float(net - always), float(best - always))} of the way there" if best > always else ""
        said.append(f"Knowing every price before it came would have earned {usd(best)}{share}.")
    return said


def wrong(setup: Setup, measured: Measured, record: DayRecord, findings: list[Finding]) -> list[str]:
    """What went wrong on the day, one sentence each; one sentence that says so when nothing did."""
    said = [f"{f.text[:1].upper()}{f.text[1:]}." for f in findings]
    if measured.actuals.estimated:
        said.append(f"{len(measured.actuals.estimated)} intervals settle on estimates: rigs were not read for more than 3 % of the time.")
    said += [f"{h.at:%H:%M} UTC, prices: {h.price_basis}. {h.why}" for h in record.held]
    for source, times in sorted(record.alerts.items()):
        said.append(f"{source}: {counted(len(times), 'failed reading')}, first at {times[0][0]:%H:%M} UTC: {times[0][1]}")
    if record.failed_plans:
        first_at, reason = record.failed_plans[0]
        said.append(f"{counted(len(record.failed_plans), 'plan')} failed, first at {first_at:%H:%M} UTC: {reason}")
    said += _orders(record)
    for obligation in setup.book:
        for call in calls_in_force(measured.actuals.calls, obligation.name):
            until = f"{call.end_at:%H:%M}" if call.end_at else "further notice"
            said.append(f"Call {call.id} of {call.source} stood on {obligation.name} from {call.start_at:%H:%M} to {until} UTC.")
    said += [_hold(at, hold) for at, hold in record.holds]
    return said or ["Nothing out of the ordinary."]


def person(setup: Setup, measured: Measured, record: DayRecord, findings: list[Finding]) -> list[str]:
    """What somebody must do, and by what; a sentence that says so when there is nothing."""
    kinds = {f.kind for f in findings}
    todo = [text for kind, text in TO_DO.items() if kind in kinds]
    failed = [outcome for done in record.done for result in done.results for outcome in result.by if outcome != Outcome.REACHED]
    if "no_effect" in failed:
        todo.append("Inspect the rigs that accepted a command without effect: `loadstone rigs list` names them.")
    if measured.actuals.estimated:
        todo.append("Import the revenue meter's intervals (`loadstone meter import`): part of the day settles on estimates.")
    todo += [f"Release the hold on {hold.group or 'the site'} when it is no longer needed ({hold.by})." for hold in _open_holds(record)]
    if measured.known_at and not measured.whole:
        todo.append("Nothing was run for part of the day: the market's own statement will cover all of it.")
    return todo or ["Nothing."]


def _open_holds(record: DayRecord) -> list[Hold]:
    """Holds that were made on the day, without an end, and stood when it ended."""
    standing_on: dict[str | None, Hold] = {}
    for _, hold in record.holds:
        if hold.released:
            standing_on.pop(hold.group, None)
        elif hold.until is None:
            standing_on[hold.group] = hold
    return list(standing_on.values())


def _hold(at: datetime, hold: Hold) -> str:
    where = hold.group or "the site"
    if hold.released:
        return f"{at:%H:%M} UTC: {hold.by} released the hold on {where}."
    limit = f"in mode {hold.mode}" if hold.mode else f"at most {hold.mw_cap:g} MW"
    until = f" until {hold.until:%H:%M} UTC" if hold.until else ""
    return f"{at:%H:%M} UTC: {hold.by} held {where} {limit}{until}."


def _orders(record: DayRecord) -> list[str]:
    """How many commands to rigs failed, by outcome."""
    count: Counter[str] = Counter()
    for done in record.done:
        for result in done.results:
            count.update({outcome: len(unpack(rigs)) for outcome, rigs in result.by.items()})
    failed = {o: n for o, n in sorted(count.items()) if o != Outcome.REACHED and n}
    if not failed:
        return []
    of = ", ".join(f"{n} {outcome.replace('_', ' ')}" for outcome, n in failed.items())
    return [f"{sum(failed.values())} of {sum(count.values())} rig commands failed: {of}."]


def _group(setup: Setup, measured: Measured, group: RigGroup) -> str | None:
    """How much a group hashed and at what prices it did and did not."""
    a = measured.actuals
    prices = a.energy_price[setup.site.meter_of[group.name].settlement_point]
    full = [Decimal(repr(group.rigs * group.full.ths / 1000 / 24)) * Decimal(repr(o.hours)) for o in a.grid.intervals]
    known = [n for n, p in enumerate(prices) if not p.is_nan() and not a.hash_ph_days[group.name][n].is_nan()]
    on = sum((a.hash_ph_days[group.name][n] for n in known), ZERO)
    off = sum((max(ZERO, full[n] - a.hash_ph_days[group.name][n]) for n in known), ZERO)
    total = sum((full[n] for n in known), ZERO)
    if not total:
        return None
    share = _percent(float(on), float(total))
    text = f"{group.name} ({group.rigs:,} rigs, {group.model}) hashed {share} of the time"
    if on:
        paid = sum((prices[n] * a.hash_ph_days[group.name][n] for n in known), ZERO) / on
        text += f", energy being {paid:,.2f} $/MWh on average while it did"
    if off / total > Decimal("0.005"):
        spared = sum((prices[n] * max(ZERO, full[n] - a.hash_ph_days[group.name][n]) for n in known), ZERO) / off
        text += f" and {spared:,.2f} $/MWh while it did not"
    return text + "."


def total(by: Mapping[str, Any]) -> Decimal:
    """Of every group and interval that was read."""
    return sum((v for values in by.values() for v in values if not v.is_nan()), ZERO)


def _more(gain: Decimal) -> str:
    return f"earned {usd(gain)} more" if gain >= 0 else f"cost {usd(-gain)}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
