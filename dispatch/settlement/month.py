"""A month or a season from its days' statements: what was earned and what it stands on. Nothing is settled here, only added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from optimizer.domain.money import ZERO, cents, plain

HASHING = "hashing/"
JOULES_PER_MWH = Decimal(3_600_000_000)
TH_SECONDS_PER_PH_DAY = Decimal(86_400_000)


def add_up(days: Sequence[Mapping[str, Any]], first: date, last: date) -> dict[str, Any]:
    """The roll-up of the statements of `first` to `last` (both in it), as JSON values. A day without a statement is named, never zero.

    Totals are the sums of the printed totals, so the roll-up foots with the statements it stands on, which `days` cites by version.
    Raises ValueError when there is none."""
    if not days:
        raise ValueError(f"no day from {first} to {last} was settled")
    had = {d["date"] for d in days}
    asked = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    totals = _summed(d["totals"] for d in days)
    energy = sum((Decimal(d["energy_mwh"]) for d in days), ZERO)
    hashed = sum((Decimal(d["hash_ph_days"]) for d in days), ZERO)
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "market": days[0]["market"],
        "site": days[0]["site"],
        "synthetic": any(d["synthetic"] for d in days),
        "worlds": list(dict.fromkeys(w for d in days for w in d["worlds"])),
        "partial": sorted(d["date"] for d in days if d["partial"]),
        "missing": [on for on in asked if on not in had],
        "totals": {name: f"{usd:.2f}" for name, usd in totals.items()},
        "net_usd": f"{sum((Decimal(d['net_usd']) for d in days), ZERO):.2f}",
        "net_exact_usd": plain(sum((Decimal(d["net_exact_usd"]) for d in days), ZERO)),
        "figures": [*_figures(totals, energy, hashed), *_blocks(days), *_standing(days)],
        "counterfactuals": {n: f"{usd:.2f}" for n, usd in _ways(days).items()},
        "gap": {n: f"{cents(usd):.2f}" for n, usd in _summed({r["cause"]: r["exact_usd"] for r in d["gap"]} for d in days).items()},
        "promises": _promises(days),
        "days": [{k: d[k] for k in ("date", "version", "net_usd", "partial", "journal_head")} for d in days],
        "person": list(dict.fromkeys(f"{text}" for d in days for text in d["story"]["person"] if text != "Nothing.")) or ["Nothing."],
    }


def _summed(parts: Iterable[Mapping[str, str]]) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for part in parts:
        for name, usd in part.items():
            totals[name] = totals.get(name, ZERO) + Decimal(usd)
    return totals


def _ways(days: Sequence[Mapping[str, Any]]) -> dict[str, Decimal]:
    """Each strategy's sum, when every day values it: a sum of some days compares with nothing."""
    if not all(d["counterfactuals"] for d in days):
        return {}
    return _summed({n: v["net_usd"] for n, v in d["counterfactuals"].items()} for d in days)


def _figures(totals: Mapping[str, Decimal], energy_mwh: Decimal, hash_ph_days: Decimal) -> list[dict[str, str]]:
    """What a MWh cost all in, what a PH/s-day cost, how well the fleet turned one into the other."""
    cost = -sum((usd for name, usd in totals.items() if not name.startswith(HASHING)), ZERO)
    out = [_figure("energy", energy_mwh, "MWh"), _figure("hashing", hash_ph_days, "PH/s-days")]
    if energy_mwh:
        out.append(
            _figure(
                "all-in cost of energy", 100 * cost / (1000 * energy_mwh), "cents/kWh", "every charge but hashing, less what contracts paid"
            )
        )
    if hash_ph_days:
        revenue = sum((usd for name, usd in totals.items() if name.startswith(HASHING)), ZERO)
        out.append(_figure("hash cost", cost / hash_ph_days, "$/PH/day", "the same over what was hashed"))
        out.append(_figure("hash revenue", revenue / hash_ph_days, "$/PH/day", "after the pool's fee"))
        joules_per_th = energy_mwh * JOULES_PER_MWH / (hash_ph_days * TH_SECONDS_PER_PH_DAY)
        out.append(_figure("fleet efficiency", joules_per_th, "J/TH", "energy at the meter, overhead included"))
    return out


def _blocks(days: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of each fixed block: how much of it the site used, and its power credits: block less load, where positive, times the real-time price
    (Riot's measure; companies count them differently)."""
    bought: dict[str, Decimal] = {}
    returned: dict[str, Decimal] = {}
    credits_usd: dict[str, Decimal] = {}
    for line in (line for d in days for line in d["lines"]):
        name, quantity = line["obligation"], Decimal(line["quantity"])
        if line["charge_type"] == "block_cost":
            bought[name] = bought.get(name, ZERO) + quantity
        elif line["charge_type"] == "block_settlement" and line["unit"] == "mwh" and quantity > 0:
            returned[name] = returned.get(name, ZERO) + quantity
            credits_usd[name] = credits_usd.get(name, ZERO) + Decimal(line["amount_usd"])
    out = []
    for name, mwh in bought.items():
        if mwh:
            out.append(_figure(f"{name}: used", 100 * (mwh - returned.get(name, ZERO)) / mwh, "%", "of the block's MWh"))
            out.append(_figure(f"{name}: power credits", credits_usd.get(name, ZERO), "$", "what was not used, at the real-time price"))
    return out


def _standing(days: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """How the contracts with a month, a season or a year stood at the end of the last day; the peaks of all days."""
    tags = [Decimal(line["quantity"]) for d in days for line in d["lines"] if line["charge_type"] == "coincident_peak"]
    out = (
        [_figure("load at coincident peaks so far", sum(tags, ZERO), "MW", f"of {len(tags)} metered intervals, provisional")]
        if tags
        else []
    )
    return [*out, *days[-1].get("standing", [])]


def _promises(days: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(p["obligation"] for d in days for p in d["promises"]))
    rows = []
    for name in names:
        own = [p for d in days for p in d["promises"] if p["obligation"] == name]
        paid, lost = (sum((Decimal(p[k]) for p in own), ZERO) for k in ("payable_usd", "lost_usd"))
        broken = sum(not p["kept"] for p in own)
        rows.append({"obligation": name, "days": len(own), "broken_days": broken, "payable_usd": f"{paid:.2f}", "lost_usd": f"{lost:.2f}"})
    return rows


def _figure(name: str, value: Decimal, unit: str, how: str = "") -> dict[str, str]:
    return {"name": name, "value": f"{value:.4f}", "unit": unit, "how": how}
