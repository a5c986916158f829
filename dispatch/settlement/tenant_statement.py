"""A tenant's own statement: its rig groups, the lines of its hosting agreements and its uptime, out of a day's statement, and nothing else.

Amounts keep the site's sign: positive is what the tenant owes the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from dispatch.settlement.document import DayStatement, IntervalRow, Narrative, UnknownTotal, known_totals
from dispatch.settlement.document_rows import ChargeRow, LineRow
from dispatch.settlement.gap_rows import coverage_without_figures
from dispatch.settlement.narrative import ACTION_ON
from dispatch.site_file.setup import Setup
from markets.grid import Interval, parse_instant
from optimizer.domain.money import ZERO, cents, plain, usd_text
from optimizer.domain.site import Site

EXACT_MW = Decimal("1e-6")
UNKNOWN_CHARGE = "unknown-charge"


def tenant_statement(d: DayStatement, setup: Setup, tenant: str) -> DayStatement:
    """The statement of one tenant. Raises LookupError when no rig group of the site is the tenant's."""
    names, contracts = _groups_of(setup.site, tenant), [o.name for o in setup.book if o.tenant(setup.site) == tenant]
    points = {setup.site.meter_of[name].settlement_point for name in names}
    lines = [row for row in d["lines"] if row["obligation"] in contracts]
    charges = [row for row in d["charges"] if row["obligation"] in contracts]
    totals = {name: usd for name, usd in d["totals"].items() if name.partition("/")[0] in contracts}
    groups = [row for row in d["groups"] if row["group"] in names]
    unknown, known = [row for row in d["unknown"] if row["name"] in totals], known_totals(d)
    net, accrued = sum((known[name] for name in totals), ZERO), _accrued(charges, known)
    return {
        **d, **coverage_without_figures(d),
        "tenant": tenant,
        "narrative": _narrative(_owes(tenant, d["site"], net), unknown),
        "energy_mwh": plain(sum((Decimal(row["energy_mwh"]) for row in groups), ZERO)),
        "hash_ph_days": plain(sum((Decimal(row["hash_ph_days"]) for row in groups), ZERO)),
        "totals": totals,
        "unknown": unknown,
        "charges": charges,
        "groups": groups,
        "settled_usd": f"{net - accrued:.2f}",
        "accrued_usd": f"{accrued:.2f}",
        "net_usd": f"{net:.2f}",
        "net_exact_usd": plain(sum((Decimal(line["amount_usd"]) for line in lines if line["amount_usd"]), ZERO)),
        "delta": None,
        "counterfactuals": {}, "foresight_gap": [],
        "planned_net_usd": "", "planned_net_exact_usd": "",
        "differences": [],
        "promises": [],
        "contract_progress": [f for f in d["contract_progress"] if f["name"].partition(":")[0] in contracts],
        "billed_quantities": [row for row in d["billed_quantities"] if row["obligation"] in contracts],
        "forecast_scores": [], "coincident_peaks": [],
        "findings": [{"kind": UNKNOWN_CHARGE, "text": f"the amount of {row['name']} is unknown: {row['why']}"} for row in unknown],
        "notes": [text for text in d["notes"] if "SYNTHETIC" in text],
        "sources": {point: source for point, source in d["sources"].items() if point in points},
        "meters": {},
        "intervals": list(_intervals(d["intervals"], names, points, lines)),
        "lines": lines,
    }  # fmt: skip


def _narrative(owes: str, unknown: Sequence[UnknownTotal]) -> Narrative:
    issues = [f"The amount of {row['name']} is unknown: {row['why']}." for row in unknown]
    return {"earned": [owes], "why": [], "issues": issues, "actions": [ACTION_ON[UNKNOWN_CHARGE]] if unknown else []}


def _accrued(charges: Sequence[ChargeRow], known: Mapping[str, Decimal]) -> Decimal:
    return sum((known[f"{c['obligation']}/{c['charge_type']}"] for c in charges if c["accrued"]), ZERO)


def _groups_of(site: Site, tenant: str) -> set[str]:
    names = {g.name for g in site.groups if g.tenant == tenant}
    if not names:
        known = ", ".join(sorted({g.tenant for g in site.groups}))
        raise LookupError(f"no rig group belongs to tenant {tenant!r}; tenants of the site: {known}")
    return names


def _owes(tenant: str, site: str, net: Decimal) -> str:
    return f"{tenant} owes {site} {usd_text(net)}." if net >= 0 else f"{site} owes {tenant} {usd_text(-net)}."


def _intervals(rows: Sequence[IntervalRow], names: set[str], points: set[str], lines: Sequence[LineRow]) -> Iterable[IntervalRow]:
    """The intervals with the load of the tenant's groups and the net of its lines. Hashing by interval is not kept by group."""
    net: dict[str, Decimal] = {}
    for line in lines:
        net[line["interval_start"]] = net.get(line["interval_start"], ZERO) + Decimal(line["amount_usd"] or "0")
    for row in rows:
        groups = {name: mw for name, mw in row["groups_mw"].items() if name in names}
        load_mw = sum((Decimal(mw) for mw in groups.values() if mw is not None), ZERO)
        hours = Decimal(repr(Interval(parse_instant(row["start"]), parse_instant(row["end"])).hours))
        yield {
            **row,
            "energy_mwh": plain((load_mw * hours).quantize(EXACT_MW)),
            "load_mw": plain(load_mw),
            "groups_mw": groups,
            "hash_ph_days": "",
            "price_usd_per_mwh": {point: usd for point, usd in row["price_usd_per_mwh"].items() if point in points},
            "net_usd": f"{cents(net.get(row['start'], ZERO)):.2f}",
        }
