"""A month or a season added up from its days' statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

from dispatch.settlement.document import DayCited, DayStatement, Figure, MonthStatement, PromiseRow, PromiseSum, UnknownTotal, known_totals
from dispatch.settlement.document_rows import ChargeRow
from dispatch.settlement.gap_rows import gaps_of_days
from markets import counted
from optimizer.domain.money import ZERO, cents, plain

# Totals of mining start with this; all others are the cost of energy.
HASHING = "hashing/"
JOULES_PER_MWH = Decimal(3_600_000_000)
TH_SECONDS_PER_PH_DAY = Decimal(86_400_000)


def add_up(days: Sequence[DayStatement], first: date, last: date) -> MonthStatement:
    """The sum of the statements of `first` to `last`, both included. A day without a statement is `missing`, never zero.

    Totals are the sums of the days' printed totals, so they foot with the statements, which `days` cites by version. A total that one of
    the days does not know is None.
    Raises ValueError when there is no statement at all."""
    if not days:
        raise ValueError(f"no day from {first} to {last} was settled")
    settled = {d["date"] for d in days}
    span = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    totals = _added(known_totals(d) for d in days)
    unknown = _unknown_totals(days, totals)
    gap = _summed({row["cause"]: row["exact_usd"] for row in d["foresight_gap"]} for d in days)
    tenant = days[0].get("tenant")
    summed: MonthStatement = {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "market": days[0]["market"],
        "site": days[0]["site"],
        "synthetic": any(d["synthetic"] for d in days),
        "worlds": list(dict.fromkeys(w for d in days for w in d["worlds"])),
        "partial": sorted(d["date"] for d in days if d["partial"]),
        "missing": [on for on in span if on not in settled],
        "totals": {**_to_cents(totals), **dict.fromkeys(row["name"] for row in unknown)},
        "unknown": unknown,
        "accrued": list(dict.fromkeys(_name(c) for d in days for c in d.get("charges", ()) if c["accrued"])),
        "settled_usd": f"{sum((Decimal(d.get('settled_usd', d['net_usd'])) for d in days), ZERO):.2f}",
        "accrued_usd": f"{sum((Decimal(d.get('accrued_usd', '0')) for d in days), ZERO):.2f}",
        "net_usd": f"{sum((Decimal(d['net_usd']) for d in days), ZERO):.2f}",
        "net_exact_usd": plain(sum((Decimal(d["net_exact_usd"]) for d in days), ZERO)),
        "gaps": gaps_of_days(days),
        "figures": [*(_volumes(days) if tenant else _unit_costs(days, totals)), *_blocks(days), *_progress(days)],
        "counterfactuals": _to_cents(_strategies(days)),
        "foresight_gap": _to_cents(gap),
        "promises": _promises(days),
        "days": [_cited(d) for d in days],
        "actions": list(dict.fromkeys(text for d in days for text in d["narrative"]["actions"])),
    }
    return {**summed, "tenant": tenant} if tenant else summed


def _name(charge: ChargeRow) -> str:
    return f"{charge['obligation']}/{charge['charge_type']}"


def _cited(d: DayStatement) -> DayCited:
    return {
        "date": d["date"],
        "version": d["version"],
        "net_usd": d["net_usd"],
        "partial": d["partial"],
        "journal_head": d["journal_head"],
    }


def _to_cents(usd_by_name: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: f"{cents(usd):.2f}" for name, usd in usd_by_name.items()}


def _unknown_totals(days: Sequence[DayStatement], totals: Mapping[str, Decimal]) -> list[UnknownTotal]:
    """Of each charge that some day does not know: what the other days, or a part of that day, do."""
    why = {row["name"]: row["why"] for d in reversed(days) for row in d["unknown"]}
    lacking = Counter(row["name"] for d in days for row in d["unknown"])
    return [
        {"name": name, "known_usd": f"{cents(totals[name]):.2f}", "why": f"{reason} ({counted(lacking[name], 'day')})"}
        for name, reason in why.items()
    ]


def _summed(parts: Iterable[Mapping[str, str]]) -> dict[str, Decimal]:
    return _added({name: Decimal(usd) for name, usd in part.items()} for part in parts)


def _added(parts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for part in parts:
        for name, usd in part.items():
            totals[name] = totals.get(name, ZERO) + usd
    return totals


def _strategies(days: Sequence[DayStatement]) -> dict[str, Decimal]:
    """Each strategy's sum, when every day values it: a sum of some days compares with nothing."""
    if not all(d["counterfactuals"] for d in days):
        return {}
    return _summed({name: value["net_usd"] for name, value in d["counterfactuals"].items()} for d in days)


def _volumes(days: Sequence[DayStatement]) -> Iterable[Figure]:
    yield _figure("energy", sum((Decimal(d["energy_mwh"]) for d in days), ZERO), "MWh")
    yield _figure("hashing", sum((Decimal(d["hash_ph_days"]) for d in days), ZERO), "PH/s-days")


def _unit_costs(days: Sequence[DayStatement], totals: Mapping[str, Decimal]) -> Iterable[Figure]:
    """Energy and hashing, what a kWh cost all in, what a PH/s-day cost and brought, and the fleet's efficiency."""
    energy_mwh = sum((Decimal(d["energy_mwh"]) for d in days), ZERO)
    hash_ph_days = sum((Decimal(d["hash_ph_days"]) for d in days), ZERO)
    cost = -sum((usd for name, usd in totals.items() if not name.startswith(HASHING)), ZERO)
    yield from _volumes(days)
    if energy_mwh:
        cents_per_kwh = 100 * cost / (1000 * energy_mwh)
        yield _figure("all-in cost of energy", cents_per_kwh, "cents/kWh", "every charge but hashing, less what contracts paid")
    if hash_ph_days:
        revenue = sum((usd for name, usd in totals.items() if name.startswith(HASHING)), ZERO)
        yield _figure("hash cost", cost / hash_ph_days, "$/PH/day", "all-in cost of energy divided by what was hashed")
        yield _figure("hash revenue", revenue / hash_ph_days, "$/PH/day", "after the pool's fee")
        joules_per_th = energy_mwh * JOULES_PER_MWH / (hash_ph_days * TH_SECONDS_PER_PH_DAY)
        yield _figure("fleet efficiency", joules_per_th, "J/TH", "energy at the meter, overhead included")


def _blocks(days: Sequence[DayStatement]) -> Iterable[Figure]:
    """Of each fixed block: how much of its MWh the site used, and its power credits: what was sold back, at the price it was sold at
    (Riot's measure; companies count them differently)."""
    sums: dict[str, dict[str, Decimal]] = {}
    for row in (row for d in days for row in d.get("billed_quantities", ())):
        of = sums.setdefault(row["obligation"], {})
        of[row["name"]] = of.get(row["name"], ZERO) + Decimal(row["quantity"])
    for name, of in sums.items():
        if of.get("block"):
            yield _figure(f"{name}: used", 100 * of["used"] / of["block"], "%", "of the block's MWh")
            yield _figure(f"{name}: sold back", of["sold back"], "MWh", "not used, up to what the contract buys back")
            yield _figure(f"{name}: power credits", of["power credits"], "$", "what was sold back, at the real-time price less the haircut")


def _progress(days: Sequence[DayStatement]) -> Iterable[Figure]:
    """The load at the peaks of all days, and the contracts' progress at the end of the last."""
    tags = [
        Decimal(mw) for d in days for row in d["lines"] if row["charge_type"] == "coincident_peak" and (mw := row["quantity"]) is not None
    ]
    if tags:
        what = f"in {counted(len(tags), 'metered interval')}, provisional"
        yield _figure("load at coincident peaks so far", sum(tags, ZERO), "MW", what)
    yield from days[-1]["contract_progress"]


def _promises(days: Sequence[DayStatement]) -> list[PromiseSum]:
    by_contract: dict[str, list[PromiseRow]] = {}
    for promise in (promise for d in days for promise in d["promises"]):
        by_contract.setdefault(promise["obligation"], []).append(promise)
    return [
        {
            "obligation": name,
            "days": len(own),
            "broken_days": sum(not p["kept"] for p in own),
            "payable_usd": f"{sum((Decimal(p['payable_usd']) for p in own), ZERO):.2f}",
            "lost_usd": f"{sum((Decimal(p['lost_usd']) for p in own), ZERO):.2f}",
        }
        for name, own in by_contract.items()
    ]


def _figure(name: str, value: Decimal, unit: str, how: str = "") -> Figure:
    return {"name": name, "value": f"{value:.4f}", "unit": unit, "how": how}
