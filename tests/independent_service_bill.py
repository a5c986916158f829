"""Pay of grid services and of a generator behind the meter, from the contracts' formulas, in exact fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction as F
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from tests.independent_contract_bill import Book, Days, frac, season, season_of

RTC_B = date(2025, 12, 5)
# RRS of every kind clears at one price.
CLEARS_AS = {"RRSFFR": "RRS", "RRSUFR": "RRS", "RRSPFR": "RRS"}


def ancillary(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """DA x h x MCPC + (RT - DA) x h x MCPC(RT); before RTC+B, MW sold and not carried cost the higher of their
    day-ahead and their supplemental price."""
    usd = F(0)
    for product in c["products"]:
        for t in d.times:
            sold, paid, _ = d.awarded(product, "DAM", t)
            carried, price, is_known = d.awarded(product, "RT", t)
            carried = carried if is_known else sold
            price = price if is_known else d.reserve[CLEARS_AS.get(product, product)][t]
            usd += sold * d.hours(t) * paid
            if d.local(t).date() >= RTC_B:
                usd += (carried - sold) * d.hours(t) * price
            else:
                usd -= max(F(0), sold - carried) * d.hours(t) * max(paid, d.awarded(product, "SASM", t)[1])
    return usd + sum((_deviation(d, names, t) for t in d.times), F(0))


def _deviation(d: Days, names: Sequence[str], t: int) -> F:
    """Outside 5 % or 5 MW of the set point: MWh missing at max(p, 20), MWh too many at -min(p, -20). Of several set points the lowest."""
    calls = [c for c in d.calls_in_force("set_point") if c["target"] is not None]
    cuts = sorted(
        {d.edges[t], d.edges[t + 1], *(min(max(at, d.edges[t]), d.edges[t + 1]) for c in calls for at in (c["start"], c["end"]) if at)}
    )
    at = F(0)
    for first, last in zip(cuts, cuts[1:], strict=False):
        here = [frac(c["target"]) for c in calls if c["start"] <= first and (c["end"] is None or c["end"] >= last)]
        if not here:
            return F(0)
        at += min(here) * int((last - first).total_seconds()) / d.seconds(t)
    if not calls:
        return F(0)
    load, price, h = d.load(names, t), d.price[d.meters[names[0]][1]][t], d.hours(t)
    low, high = max(F(0), min(F(95, 100) * at, at - 5)) * h, max(F(105, 100) * at, at + 5) * h
    return -max(price, F(20)) * max(F(0), low - load) + min(price, F(-20)) * max(F(0), load - high)


def ers(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """Each term's pay after these days less what was paid of it before: gross x g(AF) x g(EPF), nothing after three failed tests in a row
    within 365 days. Availability leaves out an event from its dispatch to ten hours after the recall; a test is judged once it has ended.
    12 hours of deployments (24 from December to March) end the term's obligation with their day."""
    mw, price, base = frac(c["mw"]), frac(c["usd_per_mw_hour"]), frac(c["max_base_load_mw"])
    base = F(0) if c["baseline"] == "default" else base
    hours, wait, usd = c["periods"][0]["hours"], timedelta(minutes=10 if c["product"] == "ERS-10" else 30), F(0)

    def begins(call: Mapping[str, Any]) -> datetime:
        return max(call["start"], call["notice"] + wait)

    def top(t: int) -> F:
        awarded, _, said = d.awarded("BASELINE", "RT", t)
        return base + mw if c["baseline"] == "alternate" else awarded if said and awarded else frac(c["baseline_mw"])

    def within(calls: Sequence[Mapping[str, Any]], t: int) -> F:
        """The share of an interval in which any of the calls lasts."""
        spans = [(max(begins(k), d.edges[t]), min(k["end"] or d.edges[t + 1], d.edges[t + 1])) for k in calls]
        seconds, until = 0, d.edges[t]
        for start, end in sorted(spans):
            seconds += max(0, int((end - max(start, until)).total_seconds()))
            until = max(until, end)
        return F(seconds, d.seconds(t))

    def performance(calls: Sequence[Mapping[str, Any]], first: int, last: int) -> tuple[F, F]:
        weight, done = F(0), F(0)
        for t in range(first, last):
            share = within(calls, t)
            if share:
                scale = share * mw if c["baseline"] == "default" else mw
                weight += share
                done += share * min(F(1), max(F(0), (top(t) - d.mw(names, t)) / scale))
        return weight, done

    def failed_in_a_row(tests: Mapping[str, tuple[datetime, datetime | None, F, F]], at: datetime) -> int:
        failed = 0
        for start, end, weight, done in sorted(tests.values(), key=lambda v: v[0]):
            if weight and end is not None and end <= at and start > at - timedelta(days=365):
                failed = 0 if done / weight >= F(95, 100) else failed + 1
        return failed

    tests = {
        id_: (_instant(v["started_at"]), _instant(v["ends_at"]), frac(v["weight"]), frac(v["done"]))
        for id_, v in d.memory.get("tests", {}).items()
    }
    deployments = d.calls_in_force("deploy")
    for first, last in _terms(d):
        remembered = d.memory if first == 0 else {}  # what is remembered is of the term in which these days begin
        known = {k: frac(remembered.get(k, 0)) for k in ("gross_usd", "obligated_h", "available_h", "event_weight", "event_done")}
        weight, done = performance(deployments, first, last)
        for call in d.calls_in_force("test"):
            w, p = performance([call], first, last)
            _, _, had_w, had_p = tests.get(call["id"], (None, None, F(0), F(0)))
            tests[call["id"]] = begins(call), call["end"], had_w + w, had_p + p
        failed = failed_in_a_row(tests, d.edges[last])
        events = [(begins(k) - wait, k["end"] and k["end"] + timedelta(hours=10)) for k in d.calls_in_force("deploy", "test")]
        seen = {t for t in range(first, last) for start, end in events if d.share(t, start, end)}
        used, used_up = frac(remembered.get("deployed_h", 0)), None
        for t in range(first, last):
            used += within(deployments, t) * d.hours(t)
            if used_up is None and used >= (24 if d.local(t).month in TERMS[0] else 12):
                used_up = d.local(t).date()
        due = [t for t in range(first, last) if d.local(t).hour in hours and (used_up is None or d.local(t).date() <= used_up)]
        gross = sum((d.hours(t) for t in due), F(0)) * mw * price
        counted = [t for t in due if t not in seen]
        there = [t for t in counted if d.mw(names, t) >= base + F(95, 100) * mw]
        ahead = _hours_ahead(d, last, hours, used_up)
        obligated = known["obligated_h"] + sum((d.hours(t) for t in counted), F(0)) + ahead
        available = known["available_h"] + sum((d.hours(t) for t in there), F(0)) + ahead * frac(c["rest_available"])
        weight, done = known["event_weight"] + weight, known["event_done"] + done
        usd += _payment_usd(known["gross_usd"] + gross, obligated, available, weight, done, failed) - frac(remembered.get("worth_usd", 0))
    return usd


def _instant(at: Any) -> Any:
    return datetime.fromisoformat(at) if isinstance(at, str) else at


def _payment_usd(gross: F, obligated: F, available: F, weight: F, done: F, failed: int) -> F:
    if failed >= 3:
        return F(0)
    af = available / obligated if obligated else F(1)
    af = F(1) if af >= F(95, 100) else af if af >= F(85, 100) else af * af
    epf = done / weight if weight else F(1)
    return gross * af * (F(1) if epf >= F(95, 100) else epf)


TERMS = ((12, 1, 2, 3), (4, 5), (6, 7, 8, 9), (10, 11))


def _term_of(on: date) -> tuple[int, int]:
    place = next(k for k, months in enumerate(TERMS) if on.month in months)
    return on.year + (on.month == 12), place


def _terms(d: Days) -> list[tuple[int, int]]:
    cuts = [t for t in d.times if t == 0 or _term_of(d.local(t).date()) != _term_of(d.local(t - 1).date())]
    return list(zip(cuts, [*cuts[1:], len(d.times)], strict=True))


def _hours_ahead(d: Days, last: int, hours: Sequence[int], used_up: date | None) -> F:
    """Hours of the period from the end of the interval before `last` to the end of the term, or of the day on which it was used up."""
    zone, at, count = ZoneInfo(d.tz), d.edges[last], F(0)
    mine = _term_of((at - timedelta(seconds=1)).astimezone(zone).date())
    months = TERMS[mine[1]]
    ends = datetime(mine[0] + (months[-1] == 12), months[-1] % 12 + 1, 1, tzinfo=zone).astimezone(UTC)
    if used_up is not None:
        ends = datetime.combine(used_up + timedelta(days=1), time(), zone).astimezone(UTC)
    while at < ends:
        next_hour = at.replace(minute=0, second=0) + timedelta(hours=1)
        count += F(int((next_hour - at).total_seconds()), 3600) if at.astimezone(zone).hour in hours else 0
        at = next_hour
    return count


def lmr(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """A daily credit; during a call, MWh above the allowed load cost the price and the day's credit divided by the call's own MWh."""
    usd, mw = F(0), frac(c["mw"])
    stays = frac(c["firm_service_mw"]) if c["method"] == "firm" else frac(c["baseline_mw"]) - mw
    due = [(k, max(k["start"], k["notice"] + timedelta(minutes=c["notice_min"]))) for k in d.calls_in_force("deploy")]
    due = [
        (k, at)
        for k, at in due
        if (k["end"] is None or k["end"] > at) and at < d.edges[-1] and (k["end"] or at + timedelta(1)) > d.edges[0]
    ]
    for t in d.times:
        on = d.local(t).date()
        failed = d.memory.get("failed") and d.memory.get("season") == season_of(on)[0].isoformat()
        a_day = F(0) if failed else frac(c["zrc"].get(season(on), c["mw"])) * frac(c["usd_per_mw_day"][season(on)])
        usd += a_day * d.hours(t) / 24
        within = min(F(1), sum((d.share(t, at, k["end"]) for k, at in due), F(0)))
        missing = max(F(0), d.load(names, t) - stays * d.hours(t)) * within
        lost = [a_day / (mw * _length_h(k, at)) for k, at in due if d.share(t, at, k["end"])]
        price = d.price[d.meters[names[0]][1]][t] + frac(c["rsg_usd_per_mwh"] or 0)
        usd -= missing * (max(F(0), price) + max(lost, default=F(0)))
    return usd


def _length_h(call: Mapping[str, Any], at: datetime) -> F:
    return F(4) if call["end"] is None else F(int((call["end"] - at).total_seconds()), 3600)


def drr(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """LMP x the MWh reduced under a dispatch, from the net benefits price on; MWh missing beyond 8 % at the LMP; forwards and reserve. Of a
    block, what a day's energy revenue leaves of the offered cost: cost counts where the dispatch is kept, a loss nowhere else."""
    usd, base = F(0), frac(c["baseline_mw"])
    day = d.memory.get("period")
    uncovered = {day: frac(d.memory.get("uncovered_usd", 0))} if day else {}
    runs, paid_before = d.memory.get("dispatched_until") == d.edges[0].isoformat().replace("+00:00", "Z"), dict(uncovered)
    for t in d.times:
        h, price = d.hours(t), d.price[d.meters[names[0]][1]][t]
        ahead, paid, _ = d.awarded("ENERGY", "DAM", t)
        now, _, is_known = d.awarded("ENERGY", "RT", t)
        called = [min(F(1), d.share(t, k["start"], k["end"])) * _instructed_mw(k, c) for k in d.calls_in_force("deploy")]
        dispatched = max([now if is_known else ahead, *called])
        done = min(max(F(0), base * h - d.load(names, t)), dispatched * h)
        energy_usd = ahead * h * (paid - price) + (done * price if price >= frac(c["net_benefits_usd_per_mwh"]) else F(0))
        missing = max(F(0), dispatched * h * F(92, 100) - done)
        usd += energy_usd - missing * max(F(0), price)
        if c["kind"] == "I" and dispatched and any(c[k] for k in ("offer_usd_per_mwh", "shutdown_usd", "curtailment_usd_per_h")):
            cost = done * frac(c["offer_usd_per_mwh"]) + h * dispatched / frac(c["mw"]) * frac(c["curtailment_usd_per_h"])
            cost += F(0) if runs else frac(c["shutdown_usd"])
            on = d.local(t).date().toordinal()
            uncovered[on] = uncovered.get(on, F(0)) + (-max(F(0), energy_usd) if missing else cost - energy_usd)
        runs = dispatched > 0
        for product in c["reserves"]:
            sold, cleared, _ = d.awarded(product, "DAM", t)
            carried, real, is_known = d.awarded(product, "RT", t)
            rate = real if is_known else d.reserve.get(product, [F(0)] * len(d.times))[t]
            usd += sold * h * cleared + ((carried if is_known else sold) - sold) * h * rate
    return usd + sum((max(F(0), v) - max(F(0), paid_before.get(on, F(0))) for on, v in uncovered.items()), F(0))


def _instructed_mw(call: Mapping[str, Any], c: Mapping[str, Any]) -> F:
    if c["kind"] == "I":
        return frac(c["mw"])
    if call["delta"] is not None:
        return abs(frac(call["delta"]))
    return max(F(0), frac(c["baseline_mw"]) - frac(call["cap"] if call["cap"] is not None else call["target"]))


def edr(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    usd, mw, base = F(0), frac(c["mw"]), frac(c["baseline_mw"])
    due = [(k, max(k["start"], k["notice"] + timedelta(minutes=c["notice_min"]))) for k in d.calls_in_force("deploy")]
    due = [(k, at) for k, at in due if k["end"] is None or k["end"] > at]
    for t in d.times:
        within = min(F(1), sum((d.share(t, at, k["end"]) for k, at in due), F(0)))
        below = (base * d.hours(t) - d.load(names, t)) * within
        usd += min(max(F(0), below), within * d.hours(t) * mw) * frac(c["offer_usd_per_mwh"])
    return usd + frac(c["shutdown_usd"]) * sum(d.edges[0] <= at < d.edges[-1] for _, at in due)


def generation(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """Fuel, maintenance and starts. The energy a generator saves is on other lines."""
    usd, before = F(0), False
    for t in d.times:
        made = d.made[t]
        runs = made > 0
        fuel = made * frac(c["heat_rate_mmbtu_per_mwh"])
        fuel += frac(c["no_load_mmbtu_per_h"]) * d.hours(t) if runs else F(0)
        usd -= fuel * frac(c["fuel_usd_per_mmbtu"]) + made * frac(c["maintenance_usd_per_mwh"])
        usd -= frac(c["start_usd"]) if runs and not before else F(0)
        before = runs
    return usd


@cache
def clock_hours(tz: str, year: int) -> list[datetime]:
    """The hours of a calendar year."""
    zone = ZoneInfo(tz)
    first = datetime(year, 1, 1, tzinfo=zone).astimezone(UTC)
    hours = ((first + timedelta(hours=n)).astimezone(zone) for n in range(366 * 24))
    return [at for at in hours if at.year == year]


def load_management(d: Days, c: Mapping[str, Any], names: Sequence[str]) -> F:
    """The promised megawatts in each hour of the season; the year's kilowatts spread over the season's clock hours."""

    def inside(at: datetime) -> bool:
        return at.month in c["season"]["months"] and at.hour in c["season"]["hours"]

    usd, of_year = F(0), {}
    for t in (t for t in d.times if inside(d.local(t))):
        year = d.local(t).year
        if year not in of_year:
            of_year[year] = sum(map(inside, clock_hours(d.tz, year)))
        usd += frac(c["mw"]) * d.hours(t) * frac(c["usd_per_kw"]) * 1000 / of_year[year]
    return usd


RECKONED: dict[str, Book] = {
    "ancillary": ancillary,
    "drr": drr,
    "edr": edr,
    "ers": ers,
    "generation": generation,
    "lmr": lmr,
    "load_management": load_management,
}
