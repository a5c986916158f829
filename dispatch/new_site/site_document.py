"""The text of a first site file. tomlkit writes it, so that it has comments where a figure is assumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit
from tomlkit.items import InlineTable, Table

from dispatch.new_site.proposed_groups import ProposedGroup
from dispatch.site_file.rig_catalogue import RigModel
from markets.grid import Market

OVERHEAD = {"share": 0.03, "share_per_c_above_25": 0.002}
STARTS_PER_MIN_SHARE, MIN_MINUTES, WEAR_USD_PER_START = 0.04, 30, 0.05
HEAD = (
    "Written by `loadstone init`. Figures marked `assumed` are usual ones: put in your own.",
    "Every key: docs/reference/site-file.md. Next: loadstone check FILE; loadstone doctor --config FILE; loadstone shadow --config FILE.",
)


@dataclass(frozen=True, slots=True)
class NewSite:
    """The answers. `hash_source` and `prices` are the tables [hash] and [prices]; `credentials` is a reference (file:PATH or env:NAME),
    `roster` the name of the map beside the site file, both None for rigs that are only counted."""

    name: str
    market: Market
    settlement_point: str
    interconnect_mw: float
    groups: Sequence[ProposedGroup]
    prices: Mapping[str, Any]
    hash_source: Mapping[str, Any]
    contracts: Sequence[Mapping[str, Any]] = ()
    adders_usd_per_mwh: float = 0.0
    loss_factor: float = 1.0
    safe_state: str = "hold"
    credentials: str | None = None
    roster: str | None = None


def site_text(site: NewSite, models: Mapping[str, RigModel]) -> str:
    """The site file as TOML text."""
    document = tomlkit.document()
    for line in HEAD:
        document.add(tomlkit.comment(line))
    document["site"] = _table(
        {
            "name": site.name,
            "market": site.market.value,
            "settlement_point": site.settlement_point,
            "interconnect_mw": site.interconnect_mw,
            "safe_state": site.safe_state,
        }
    )
    document["meters"] = _tables([_table({"id": "main", "loss_factor": site.loss_factor})])
    document["halls"] = _tables([_hall(hall, site, models) for hall in dict.fromkeys(g.hall for g in site.groups)])
    document["groups"] = _tables([_group(group, site) for group in site.groups])
    document["prices"] = _table(site.prices)
    document["hash"] = _table(site.hash_source)
    power = {"type": "power", "adders_usd_per_mwh": site.adders_usd_per_mwh}
    document["obligations"] = _tables([_table(contract) for contract in (power, *site.contracts)])
    return tomlkit.dumps(document)


def _hall(name: str, site: NewSite, models: Mapping[str, RigModel]) -> Table:
    """A hall whose feeder carries all of its rigs at their fullest listed mode, overhead included."""
    groups = [g for g in site.groups if g.hall == name]
    full_mw = sum(g.rigs * max(mode.watts for mode in models[g.model].modes) for g in groups) / 1e6
    rigs = sum(g.rigs for g in groups)
    table = _table(
        {
            "name": name,
            "meter": "main",
            "limit_mw": min(round(full_mw * (1 + OVERHEAD["share"]) * 1.1, 3), site.interconnect_mw),
            "overhead": OVERHEAD,
            "max_starts_per_min": max(1, round(rigs * STARTS_PER_MIN_SHARE)),
        }
    )
    for key in ("limit_mw", "overhead", "max_starts_per_min"):
        table[key].comment("assumed")
    return table


def _group(group: ProposedGroup, site: NewSite) -> Table:
    table = _table(
        {
            "name": group.name,
            "hall": group.hall,
            "model": group.model,
            "rigs": group.rigs,
            "min_on_min": MIN_MINUTES,
            "min_off_min": MIN_MINUTES,
            "wear_usd_per_start": WEAR_USD_PER_START,
            "driver": _driver(group, site),
        }
    )
    for key in ("min_on_min", "min_off_min", "wear_usd_per_start"):
        table[key].comment("assumed")
    if not group.rigs_at:
        table["driver"].comment("simulated until you say where the rigs are: loadstone rigs scan SUBNET")
    return table


def _driver(group: ProposedGroup, site: NewSite) -> dict[str, Any]:
    if not group.rigs_at:
        return {"kind": "simulated"}
    asked = {"kind": "pyasic", "roster": site.roster, "dialect": group.dialect, "credentials": site.credentials}
    return {key: value for key, value in asked.items() if value is not None}


def _tables(tables: Iterable[Table]) -> tomlkit.items.AoT:
    found = tomlkit.aot()
    for table in tables:
        found.append(table)
    return found


def _table(values: Mapping[str, Any]) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, _inline(value) if isinstance(value, Mapping) else value)
    return table


def _inline(values: Mapping[str, Any]) -> InlineTable:
    inline = tomlkit.inline_table()
    inline.update(values)
    return inline
