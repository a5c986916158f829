"""An independent bill of a span of days, for each contract of a site file: what is owed for all hours run so far, in fractions.

Each function takes the hours that were run, in order, and gives what the contract is worth over all of them. A day's bill is the worth with
that day less the worth without it, so what carries from day to day (a month's highest demand, a month's uptime, a term's availability) is
right only if the product remembers it. Nothing of the product is used but what its ledger measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction as F
from typing import Any
from zoneinfo import ZoneInfo

TERMS = ((12, 1, 2, 3), (4, 5), (6, 7, 8, 9), (10, 11))


@dataclass(frozen=True)
class Hour:
    """A settlement interval that was run: MWh at the meter and PH/s-days by group, $/MWh by settlement point, $/PH/day."""

    start: datetime
    end: datetime
    mwh: Mapping[str, F]
    ph_days: Mapping[str, F]
    price: Mapping[str, F]
    hashprice: F

    @property
    def hours(self) -> F:
        return F(int((self.end - self.start).total_seconds()), 3600)


@dataclass(frozen=True)
class SiteFile:
    """A site file as its author wrote it.

    peaks   the interval of each month's coincident peak, by (year, month), as finally known
    """

    document: Mapping[str, Any]
    peaks: Mapping[tuple[int, int], tuple[datetime, datetime]]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo("Etc/GMT+5" if self.document["site"]["market"] == "miso" else "America/Chicago")

    def meter_of(self, group: str) -> Mapping[str, Any]:
        hall = next(g["hall"] for g in self.document["groups"] if g["name"] == group)
        meter = next(h["meter"] for h in self.document["halls"] if h["name"] == hall)
        return next(m for m in self.document["meters"] if m["id"] == meter)

    def point_of(self, group: str) -> str:
        return str(self.meter_of(group).get("settlement_point", self.document["site"]["settlement_point"]))

    def loss_of(self, group: str) -> F:
        return frac(self.meter_of(group).get("loss_factor", 1.0))

    def groups_of(self, contract: Mapping[str, Any]) -> list[str]:
        scope = contract.get("scope", {})
        names = [g["name"] for g in self.document["groups"]]
        if "tenant" in scope:
            return [g["name"] for g in self.document["groups"] if g.get("tenant", "own") == scope["tenant"]]
        if "meter" in scope:
            return [name for name in names if self.meter_of(name)["id"] == scope["meter"]]
        return names

    def contracts(self, kind: str) -> list[Mapping[str, Any]]:
        return [c for c in self.document["obligations"] if c["type"] == kind]

    def local(self, at: datetime) -> datetime:
        return at.astimezone(self.zone)


def frac(value: Any) -> F:
    """A figure as it is written, not as a machine keeps it."""
    return value if isinstance(value, F) else F(repr(float(value)))


def hashing(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """What the site's own rigs hash, less the pool's fee; a tenant's rigs hash for the tenant."""
    hosted = {name for c in site.contracts("hosting") for name in site.groups_of(c)}
    own = [g["name"] for g in site.document["groups"] if g["name"] not in hosted]
    return sum(((1 - frac(contract["pool_fee"])) * h.hashprice * h.ph_days[name] for h in run for name in own), F(0))


def power(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """Every MWh with its losses at price and adders; where a block settles the energy, the adders alone."""
    in_block = {name for c in site.contracts("block") for name in site.groups_of(c)}
    usd = F(0)
    for h in run:
        for name in site.groups_of(contract):
            price = F(0) if name in in_block else h.price[site.point_of(name)]
            usd -= h.mwh[name] * site.loss_of(name) * (price + frac(contract["adders_usd_per_mwh"]))
    return usd


def block(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """The block at its price, and block less load at the real-time price (sell-back without haircut or cap)."""
    names, usd = site.groups_of(contract), F(0)
    for h in run:
        load = sum((h.mwh[n] * site.loss_of(n) for n in names), F(0))
        bought = frac(contract["mw"]) * h.hours
        usd += (bought - load) * h.price[site.point_of(names[0])] - bought * frac(contract["usd_per_mwh"])
    return usd


def hosting(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """Fee and passed-through energy under the strike, a share of the hashing, less the credit for each month's missing uptime."""
    names, strike = site.groups_of(contract), contract.get("strike_usd_per_mwh")
    full_mw = sum((frac(_full_watts(site, n)) / 1_000_000 for n in names), F(0))
    promised_mw = frac(contract["mw"]) if "mw" in contract else full_mw
    usd, ran, promised = F(0), defaultdict(F), defaultdict(F)
    for h in run:
        price = h.price[site.point_of(names[0])]
        usd += frac(contract.get("hash_share", 0)) * h.hashprice * sum((h.ph_days[n] for n in names), F(0))
        if strike is not None and price >= frac(strike):
            continue
        load = sum((h.mwh[n] for n in names), F(0))
        usd += load * site.loss_of(names[0]) * (frac(contract["usd_per_mwh"]) + (price if contract.get("pass_through") else 0))
        month = (site.local(h.start).year, site.local(h.start).month)
        ran[month] += load
        promised[month] += promised_mw * frac(contract["uptime"]) * h.hours
    missing = sum((max(F(0), promised[month] - ran[month]) for month in promised), F(0))
    return usd - frac(contract["credit_usd_per_mwh"]) * missing


def transmission(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """4CP: a quarter of the year's rate on the load at a month's peak. ncp: a month's rate on its highest load, at least `contract_mw`."""
    rate, names = frac(contract["usd_per_kw_year"]) * 1000, site.groups_of(contract)
    if contract["method"] == "4cp":
        at_peak = [
            h for h in run for start, end in site.peaks.values() if start <= h.start < end and site.local(h.start).month in (6, 7, 8, 9)
        ]
        hours = {h.start: (end - start) for h in at_peak for start, end in site.peaks.values() if start <= h.start < end}
        shares = (F(int((h.end - h.start).total_seconds()), int(hours[h.start].total_seconds())) for h in at_peak)
        loads = (sum((h.mwh[n] for n in names), F(0)) / h.hours for h in at_peak)
        return -sum((mw * share for mw, share in zip(loads, shares, strict=True)), F(0)) * rate / 4
    minutes, highest = contract.get("interval_min", 15), {}
    clock: dict[tuple[Any, int], list[Hour]] = defaultdict(list)
    for h in run:
        local = site.local(h.start)
        if local.month in contract.get("months", range(1, 13)):
            clock[(local.year, local.month), int(h.start.timestamp()) // (60 * minutes)].append(h)
    for (month, _), parts in clock.items():
        counts = all(_in_hours(site, part.start, contract) for part in parts)
        mw = sum((p.mwh[n] for p in parts for n in names), F(0)) / sum((p.hours for p in parts), F(0)) if counts else F(0)
        highest[month] = max(highest.get(month, F(0)), mw)
    least = frac(contract.get("contract_mw", 0))
    return -sum((max(mw, least) for mw in highest.values()), F(0)) * rate / 12


def ers(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """Each term: the price of the obligated hours run, times what the availability over them and the hours ahead leaves of it."""
    names, usd = site.groups_of(contract), F(0)
    terms: dict[tuple[int, int], list[Hour]] = defaultdict(list)
    for h in run:
        terms[_term_of(site.local(h.start).date())].append(h)
    due_mw = frac(contract["max_base_load_mw"]) + F(95, 100) * frac(contract["mw"])
    for hours in terms.values():
        due = [h for h in hours if _due(site.local(h.start), contract)]
        gross = sum((h.hours for h in due), F(0)) * frac(contract["mw"]) * frac(contract["usd_per_mw_hour"])
        obligated = sum((h.hours for h in due), F(0))
        there = sum((h.hours for h in due if sum((h.mwh[n] for n in names), F(0)) / h.hours >= due_mw), F(0))
        ahead = _hours_ahead(site, hours[-1].end, contract)
        factor = (there + ahead) / (obligated + ahead) if obligated + ahead else F(1)
        usd += gross * (F(1) if factor >= F(95, 100) else factor if factor >= F(85, 100) else factor * factor)
    return usd


def nothing(site: SiteFile, run: Sequence[Hour], contract: Mapping[str, Any]) -> F:
    """A contract that pays nothing while nothing is awarded or called."""
    return F(0)


BILLS: dict[str, Callable[[SiteFile, Sequence[Hour], Mapping[str, Any]], F]] = {
    "ancillary": nothing,
    "block": block,
    "ers": ers,
    "hashing": hashing,
    "hosting": hosting,
    "plant": nothing,
    "power": power,
    "transition": nothing,
    "transmission": transmission,
}


def _full_watts(site: SiteFile, name: str) -> float:
    group = next(g for g in site.document["groups"] if g["name"] == name)
    return float(group["rigs"]) * max(float(m["watts"]) for m in group["modes"] if m["name"] in ("normal",))


def _in_hours(site: SiteFile, at: datetime, contract: Mapping[str, Any]) -> bool:
    local = site.local(at)
    workday = local.weekday() < 5 and local.date().isoformat() not in contract.get("holidays", ())
    return (not contract.get("weekdays") or workday) and local.hour in contract.get("hours", range(24))


def _due(local: datetime, contract: Mapping[str, Any]) -> bool:
    workday = local.weekday() < 5 and local.date() not in LABOR_DAY
    return any(local.month in p["months"] and local.hour in p["hours"] and (workday or not p.get("weekdays")) for p in contract["periods"])


LABOR_DAY = (date(2026, 9, 7),)


def _term_of(on: date) -> tuple[int, int]:
    return on.year + (on.month == 12), next(k for k, months in enumerate(TERMS) if on.month in months)


def _hours_ahead(site: SiteFile, at: datetime, contract: Mapping[str, Any]) -> F:
    """Obligated clock hours from an instant to the end of the term that the instant before it lies in."""
    term = _term_of(site.local(at - timedelta(seconds=1)).date())
    here = at.astimezone(UTC)
    count = F(0)
    while _term_of(site.local(here).date()) == term:
        count += F(1, 4) if _due(site.local(here), contract) else 0
        here += timedelta(minutes=15)
    return count
