"""The day in sentences for an accountant: what was earned, why, what went wrong, what somebody has to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from dispatch.entries import Hold, unpack
from dispatch.rigs import Outcome
from dispatch.settlement.day_journal import DayRecord
from dispatch.settlement.document import StrategyValue
from markets import counted
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import calls_in_force
from optimizer.domain.money import ZERO, Finding, Statement, usd_text
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import RigGroup, Site

# By kind of finding: what somebody has to do about it.
ACTION_ON = {
    "missing-data": "Find the missing figures: the intervals without them are not billed here, and the market will bill them.",
    "unknown-charge": "Provide what the finding names as unknown: the system load of the site's market (an archive: `loadstone archive "
    "import FILE --market MARKET`; a live source: it must publish it), or the site's own load at the peak (`loadstone meter import`). A "
    "charge is owed by it and is not in the net.",
    "call-not-kept": "Tell the QSE or the program's contact why the instruction was not kept; /api/v1/events/ID has the event's evidence.",
    "call-not-judged": "Import the meter's intervals before the notice (`loadstone meter import`), so that the reduction can be judged.",
    "call-asks-nothing": "Ask the sender of the call which figure was meant, and in which unit: its cap is above what the rigs can draw.",
    "strike": "Find out why the instruction was not followed, before the next one: enough failures disqualify.",
    "disqualified": "Tell the QSE that the resource is disqualified, and ask how it is reinstated; offer nothing of it until then.",
    "meter-export": "Check the direction and the channel of the meter, or set `export_mw` of the meter where energy may flow out.",
    "award-not-sold": "Ask the QSE which contract the award belongs to: this book has none that sells it.",
    "award-price-unknown": "Import the market's clearing prices: awards without one are not billed here, and the market pays them.",
    "price-below-floor": "Ask the source about the price: the market publishes none below its floor.",
}
# Less than this share of a group's hashing lost is not worth a sentence.
WORTH_SAYING = Decimal("0.005")


def earned(site: Site, actuals: Actuals, bill: Statement) -> list[str]:
    """Receipts and costs, energy and hashing."""
    net = bill.net_usd
    receipts = sum((usd for usd in bill.totals.values() if usd > 0), ZERO)
    costs = sum((usd for usd in bill.totals.values() if usd < 0), ZERO)
    drawn, hashed = total(actuals.energy_mwh), total(actuals.hash_ph_days)
    hours = sum(over.hours for over in actuals.grid.intervals)
    most_mwh = sum(g.rigs * g.full.watts for g in site.groups) / 1e6 * hours
    most_hash = sum(g.rigs * g.full.ths for g in site.groups) / 1000 * hours / 24
    lacking = [f"This does not cover {name}, whose amount is unknown." for name in bill.unknown_names]
    return [
        f"{site.name} {'earned' if net >= 0 else 'lost'} {usd_text(abs(net))}: {usd_text(receipts)} received, {usd_text(-costs)} paid.",
        f"It drew {drawn:,.3f} MWh at the meter and hashed {hashed:,.3f} PH/s-days, {_percent(float(hashed), most_hash)} of what all "
        f"rigs can do ({most_hash:,.3f} PH/s-days with {most_mwh:,.3f} MWh at the rigs).",
        *lacking,
    ]


def why(actuals: Actuals, net_usd: Decimal, strategies: Mapping[str, StrategyValue]) -> list[str]:
    """At which prices each group hashed, and what other strategies would have earned."""
    sentences = [text for group in actuals.site.groups if (text := _group(actuals, group))]
    if strategies:
        always, best = (Decimal(strategies[name]["net_usd"]) for name in ("always_on", "perfect_foresight"))
        gain = net_usd - always
        compared = f"earned {usd_text(gain)} more" if gain >= 0 else f"earned {usd_text(-gain)} less"
        sentences.append(f"Always on would have earned {usd_text(always)}: the site {compared}.")
        captured = f"; the site captured {_percent(float(gain), float(best - always))} of what perfect foresight would add over always-on"
        sentences.append(f"Perfect foresight of prices would have earned {usd_text(best)}{captured if best > always else ''}.")
    return sentences


def issues(book: Sequence[Obligation], actuals: Actuals, record: DayRecord, findings: Sequence[Finding]) -> list[str]:
    """Everything that failed or was out of the ordinary; empty when nothing was."""
    sentences = [f"{f.text[:1].upper()}{f.text[1:]}." for f in findings]
    if actuals.estimated:
        number = counted(len(actuals.estimated), "interval")
        sentences.append(f"{number} settled on estimates: rigs were not read for more than 3 % of the time.")
    sentences += [f"{change.at:%H:%M} UTC, price basis {change.price_basis}: {change.why}" for change in record.price_basis_changes]
    for source, alerts in sorted(record.alerts.items()):
        sentences.append(_failures(f"{source}: {counted(len(alerts), 'failed reading')}", alerts))
    if record.failed_plans:
        sentences.append(_failures(f"{counted(len(record.failed_plans), 'plan')} failed", record.failed_plans))
    sentences += _failed_commands(record)
    for obligation in book:
        for call in calls_in_force(actuals.calls, obligation.name):
            until = f"{call.end_at:%H:%M} UTC" if call.end_at else "further notice"
            when = f"from {call.start_at:%H:%M} UTC until {until}"
            sentences.append(f"Call {call.id} of {call.source} was in force on {obligation.name} {when}.")
    made = {hold.id: hold for _, hold in record.holds if not hold.released}
    sentences += [_hold(at, hold, made.get(hold.id, hold)) for at, hold in record.holds]
    return sentences


def actions(record: DayRecord, findings: Sequence[Finding], *, estimated: bool, partial: bool) -> list[str]:
    """What somebody has to do, and with what; empty when there is nothing."""
    kinds = {f.kind for f in findings}
    sentences = [text for kind, text in ACTION_ON.items() if kind in kinds]
    if Outcome.NO_EFFECT in _outcomes(record):
        sentences.append("Inspect the rigs that accepted a command without effect: `loadstone rigs list` names them.")
    if estimated:
        sentences.append("Import the revenue meter's intervals (`loadstone meter import`): part of the day settles on estimates.")
    for hold in _open_holds(record):
        sentences.append(f"Release the hold on {hold.group or 'the site'} when it is no longer needed ({hold.by}).")
    if partial:
        sentences.append("Expect the market's own statement to cover the whole day: the site was run for only a part of it.")
    return sentences


def _failures(what: str, failures: Sequence[tuple[datetime, str]]) -> str:
    at, text = failures[0]
    return f"{what}, first at {at:%H:%M} UTC: {text}"


def _open_holds(record: DayRecord) -> Iterable[Hold]:
    """Holds made on the day, without an end, that were not released by the end of it."""
    open_holds: dict[str, Hold] = {}
    for _, hold in record.holds:
        if not hold.released and hold.until is None:
            open_holds[hold.id] = hold
        else:
            open_holds.pop(hold.id, None)  # a release names the hold by its id alone
    return open_holds.values()


def _hold(at: datetime, hold: Hold, made: Hold) -> str:
    """A hold that was made or released; `made` is the one that a release ends."""
    where = made.group or "the site"
    if hold.released:
        return f"{at:%H:%M} UTC: {hold.by} released the hold on {where}."
    limit = f"in mode {hold.mode}" if hold.mode else f"at most {hold.mw_cap:g} MW"
    until = f" until {hold.until:%H:%M} UTC" if hold.until else ""
    return f"{at:%H:%M} UTC: {hold.by} held {where} {limit}{until}."


def _outcomes(record: DayRecord) -> Counter[str]:
    """How many commands to single rigs ended in each outcome."""
    number: Counter[str] = Counter()
    for done in record.done:
        for result in done.results:
            number.update({outcome: len(unpack(rigs)) for outcome, rigs in result.rigs_by_outcome.items()})
    return number


def _failed_commands(record: DayRecord) -> list[str]:
    number = _outcomes(record)
    failed = {outcome: n for outcome, n in sorted(number.items()) if outcome != Outcome.REACHED and n}
    if not failed:
        return []
    by_outcome = ", ".join(f"{n:,} {outcome.replace('_', ' ')}" for outcome, n in failed.items())
    return [f"{sum(failed.values()):,} of {counted(sum(number.values()), 'rig command')} failed: {by_outcome}."]


def _group(actuals: Actuals, group: RigGroup) -> str | None:
    """How much a group hashed, and the mean price while it did and while it did not; None when nothing of it is known."""
    prices = actuals.energy_price[actuals.site.meter_of[group.name].settlement_point]
    hashed = actuals.hash_ph_days[group.name]
    full = [Decimal(repr(group.rigs * group.full.ths / 1000 / 24)) * Decimal(repr(over.hours)) for over in actuals.grid.intervals]
    known = [n for n, price in enumerate(prices) if not price.is_nan() and not hashed[n].is_nan()]
    idle = {n: max(ZERO, full[n] - hashed[n]) for n in known}
    most, on, off = (sum(values, ZERO) for values in ((full[n] for n in known), (hashed[n] for n in known), idle.values()))
    if not most:
        return None
    text = f"{group.name} ({counted(group.rigs, 'rig')}, {group.model}) hashed {_percent(float(on), float(most))} of the time"
    if on:
        text += f", with energy at {usd_text(sum((prices[n] * hashed[n] for n in known), ZERO) / on)}/MWh on average while it did"
    if off / most > WORTH_SAYING:
        text += f" and {usd_text(sum((prices[n] * idle[n] for n in known), ZERO) / off)}/MWh while it did not"
    return text + "."


def total(by: Mapping[str, Any]) -> Decimal:
    """The sum over every group and interval that was read."""
    return sum((v for values in by.values() for v in values if not v.is_nan()), ZERO)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
