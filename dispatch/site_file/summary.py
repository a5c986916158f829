"""The summary of a site that `loadstone check` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.site_file.contract_checks import contract_notes
from dispatch.site_file.secret_files import secret_notes
from dispatch.site_file.setup import Setup
from markets.grid import Market


def summary(setup: Setup) -> dict[str, Any]:
    """Site, rigs, full load in MW, hashrate in PH/s, contracts and sources as JSON values, with notes on limits and prices."""
    site = setup.site
    full_mw = {g.name: g.rigs * g.full.watts / 1e6 for g in site.groups}
    halls_mw = {h.name: sum(full_mw[g.name] for g in site.groups if g.hall == h.name) * (1 + h.overhead.at(25.0)) for h in site.halls}
    return {
        "site": site.name,
        "market": site.market.value,
        "rigs": sum(g.rigs for g in site.groups),
        "full_load_mw": round(sum(halls_mw.values()), 6),
        "hashrate_ph": round(sum(g.rigs * g.full.ths for g in site.groups) / 1000, 6),
        "groups": {
            g.name: {"rigs": g.rigs, "model": g.model, "modes": [m.name for m in g.modes], "driver": g.driver["kind"]} for g in site.groups
        },
        "obligations": [{"name": o.name, "type": o.type} for o in setup.book],
        "prices": setup.prices.source,
        "hash": setup.hash.source,
        "config_hash": setup.hash_id,
        "notes": _notes(setup, halls_mw),
        "unverified": list(setup.unverified),
    }


def _notes(setup: Setup, halls_mw: Mapping[str, float]) -> list[str]:
    site = setup.site
    notes = [
        f"hall {h.name!r} limits its rigs: {halls_mw[h.name]:.3f} MW at full draw, {h.limit_mw:.3f} MW allowed"
        for h in site.halls
        if halls_mw[h.name] > h.limit_mw
    ]
    if (total := sum(halls_mw.values())) > site.interconnect_mw:
        notes.append(f"the interconnect limits the site: {total:.3f} MW at full draw, {site.interconnect_mw:.3f} MW allowed")
    notes += secret_notes(setup)
    notes += contract_notes(site, setup.book)
    if site.market is Market.ERCOT and setup.prices.source != "synthetic":
        # ERCOT Nodal Protocols 6.6.3: metered load settles at the energy-weighted zone price.
        zones = [m for m in site.meters if m.settlement_point.startswith("LZ_") and not m.settlement_point.endswith("_EW")]
        notes += [f"meter {m.id!r} settles at {(p := m.settlement_point)}; metered load in ERCOT settles at {p}_EW" for m in zones]
    if setup.prices.source == "synthetic":
        notes.append("prices are synthetic: nothing this site earns or owes is real")
    return notes
