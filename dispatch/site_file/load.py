"""A site file becomes a Site, a book of obligations and the settings around them; every fault at once, each "FILE: key: what is wrong"."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatch import ConfigError
from dispatch.entries import canonical
from dispatch.meters import meter_sections as metering
from dispatch.site_file import (
    behind,
    contracts,
    cross_references,
    double_selling,
    market_rules,
    plugins,
    provenance,
    rig_catalogue,
    tariff_file,
)
from dispatch.site_file import errors as faults
from dispatch.site_file.defaults import default_file as default_file
from dispatch.site_file.errors import ConfigFault, chosen, meant, shown
from dispatch.site_file.sections import ApiSettings, HashSettings, PricesSettings, ReportSettings
from dispatch.site_file.setup import Setup
from markets.grid import Market
from optimizer.domain.site import Site

SECTIONS = ("site", "meters", "halls", "groups", "prices", "hash", "obligations", "api", "reports")
DEMO = "demo-site.toml"


@dataclass(frozen=True, slots=True)
class Checked:
    """What `loadstone check` says: faults, or a summary of the site with what is unverified in it."""

    faults: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)


def load(path: str | Path, override: Mapping[str, Any] | None = None) -> Setup:
    """Read a site file. `override` puts whole sections in place of the file's, as the command line does:
    {"prices": {"source": "synthetic", "seed": 7}}.

    Raises ConfigError with every fault.
    """
    path = Path(path)
    try:
        raw, wrong = faults.plain(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: byte {error.start} is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    raw = {**raw, **(override or {})}
    wrong += list(_files(raw, path.parent))
    return _understand(raw, wrong, path)


def from_document(document: Mapping[str, Any]) -> Setup:
    """The Setup of a journal's `RunStarted.config`, without looking at any file of the site. Raises ConfigError."""
    return _understand(dict(document), [], None)


def check(path: str | Path) -> Checked:
    """Every fault of a site file, or what it amounts to."""
    try:
        setup = load(path)
    except ConfigError as error:
        return Checked(faults=tuple(error.faults))
    return Checked(summary=_summary(setup))


def _understand(raw: dict[str, Any], wrong: list[ConfigFault], path: Path | None) -> Setup:
    unreadable, said = {loc for loc, _ in wrong}, len(wrong)
    models = rig_catalogue.read(default_file("rigs.toml"))
    dated = market_rules.read(default_file("programs.toml"))
    wrong += [((key,), "is not a section here" + meant(key, SECTIONS)) for key in raw if key not in SECTIONS]
    wrong += list(cross_references.faults(raw))
    wrong += list(metering.faults(raw))
    groups, more = _groups(raw, models)
    site, site_wrong = _site(raw, groups)
    prices, prices_wrong = chosen(raw, "prices", "source", plugins.offered(plugins.SOURCES), "gridstatus")
    hash_, hash_wrong = chosen(raw, "hash", "source", plugins.offered(plugins.HASHPRICES), None)
    api, api_wrong = faults.model(ApiSettings, raw.get("api", {}), ("api",))
    reports, reports_wrong = faults.model(ReportSettings, raw.get("reports", {}), ("reports",))
    wrong += more + site_wrong + prices_wrong + hash_wrong + api_wrong + reports_wrong
    entries = contracts.entries(raw, getattr(hash_, "pool_fee", 0.0))
    obligations, book_wrong = contracts.read(entries)
    wrong += book_wrong
    if site is not None and not book_wrong:
        placed = [(n, o) for (n, _), o in zip(entries, obligations, strict=True)]
        wrong += list(double_selling.faults(site, placed))
        wrong += [*provenance.faults(site, obligations), *behind.faults(site, placed)]
    wrong = [f for n, f in enumerate(wrong) if n < said or f[0] not in unreadable]
    if wrong or site is None or prices is None or hash_ is None or api is None or reports is None:
        raise ConfigError(_lines(path, raw, wrong))
    document = _document(raw, groups, entries, prices, hash_)
    hash_id = hashlib.sha256(canonical(document)).hexdigest()
    doubts = (*dated.unverified(site.market, contracts=[type(o).type for o in obligations]), *_assumed(site, models))
    return Setup(site, obligations, prices, hash_, document, hash_id, dated, api, reports, doubts, path)


def _lines(path: Path | None, raw: Mapping[str, Any], wrong: list[ConfigFault]) -> list[str]:
    """The faults in the file's order of sections, each once."""
    name = str(path) if path else "(journal)"
    ranked = sorted(wrong, key=_place)
    return list(dict.fromkeys(f"{name}: {faults.key_path(raw, loc)}: {text}" for loc, text in ranked))


def _place(fault: ConfigFault) -> tuple[int, int]:
    loc = fault[0]
    section = SECTIONS.index(loc[0]) if loc and loc[0] in SECTIONS else -1
    return section, loc[1] if len(loc) > 1 and isinstance(loc[1], int) else -1


def _groups(raw: Mapping[str, Any], models: rig_catalogue.Catalogue) -> tuple[list[Any], list[ConfigFault]]:
    items = raw.get("groups")
    groups: list[Any] = list(items) if isinstance(items, list) else []
    wrong: list[ConfigFault] = []
    for n, item in cross_references.tables(raw, "groups"):
        groups[n], more = rig_catalogue.expand(item, models)
        wrong += [(("groups", n, *loc), text) for loc, text in more]
        wrong += [(("groups", n, "driver", *loc), text) for loc, text in _driver(item.get("driver", {"kind": "simulated"}))]
    return groups, wrong


def _driver(table: Any) -> list[ConfigFault]:
    if not isinstance(table, Mapping):
        return [((), f'needs a table such as {{ kind = "simulated" }}, not {shown(table)}')]
    return chosen({"driver": table}, "driver", "kind", plugins.offered(plugins.DRIVERS), None, at=())[1]


def _site(raw: Mapping[str, Any], groups: list[Any]) -> tuple[Site | None, list[ConfigFault]]:
    """The site with its meters, halls and groups; a meter without a settlement point takes the site's."""
    head = raw.get("site")
    if not isinstance(head, Mapping):
        return None, [(("site",), "is missing" if head is None else f"needs a table, not {shown(head)}")]
    inner = [k for k in head if k in ("meters", "halls", "groups")]
    wrong: list[ConfigFault] = [(("site", k), f"is written as [[{k}]], beside [site]") for k in inner]
    point = head.get("settlement_point")
    lists: dict[str, Any] = {"halls": raw.get("halls", []), "groups": groups, "meters": _meters(raw, point)}
    wrong += [((k,), f"needs tables [[{k}]], not {shown(raw[k])}") for k in lists if k in raw and not isinstance(raw[k], list)]
    wrong += [((k,), f"is missing: at least one [[{k}]]") for k in lists if raw.get(k, []) == []]
    site, more = faults.model(Site, {**{k: v for k, v in head.items() if k not in inner}, **lists}, ())
    wrong += [(loc if loc and loc[0] in lists else ("site", *loc), text) for loc, text in more if not _modes_said(loc, groups)]
    return site, wrong


def _modes_said(loc: tuple[str | int, ...], groups: list[Any]) -> bool:
    """Whether the catalogue has said already, in better words, why a group has no modes."""
    if len(loc) != 3 or loc[0] != "groups" or loc[2] != "modes" or not isinstance(loc[1], int):
        return False
    return isinstance(groups[loc[1]], Mapping) and groups[loc[1]].get("modes") is None


def _meters(raw: Mapping[str, Any], point: Any) -> Any:
    meters = raw.get("meters", [])
    if not isinstance(meters, list) or point is None:
        return meters
    return [{"settlement_point": point, **m} if isinstance(m, Mapping) else m for m in meters]


def _files(raw: Mapping[str, Any], folder: Path) -> list[ConfigFault]:
    """Files and folders the site file names that are not there."""
    wrong = list(cross_references.roster_faults(raw, folder))
    for section in ("prices", "hash"):
        table = raw.get(section)
        path = table.get("path") if isinstance(table, Mapping) and table.get("source") == "archive" else None
        if isinstance(path, str) and not (folder / path).is_dir():
            wrong.append(((section, "path"), f"there is no folder {path!r}"))
    return [*wrong, *tariff_file.faults_of(raw, folder)]


def _document(
    raw: Mapping[str, Any], groups: list[Any], entries: list[tuple[int | None, Any]], prices: PricesSettings, hash_: HashSettings
) -> dict[str, Any]:
    """What was read and what stands in for what was not written; reading it again gives the same Setup."""
    document = {k: v for k, v in raw.items() if k in SECTIONS}
    document |= {"groups": groups, "obligations": [t for _, t in entries]}
    document |= {"prices": prices.model_dump(mode="json"), "hash": hash_.model_dump(mode="json")}
    plain: dict[str, Any] = json.loads(canonical(document))
    return plain


def _assumed(site: Site, models: rig_catalogue.Catalogue) -> list[str]:
    """Figures of the catalogue that nobody published, for the models the site runs."""
    used = dict.fromkeys(g.model for g in site.groups)
    return [f"{m}: {', '.join(a)} assumed, calibrate at the site (config/rigs.toml)" for m in used if (a := models.assumed(m))]


def _summary(setup: Setup) -> dict[str, Any]:
    site = setup.site
    full_mw = {g.name: g.rigs * g.full.watts / 1e6 for g in site.groups}
    halls = {h.name: sum(full_mw[g.name] for g in site.groups if g.hall == h.name) * (1 + h.overhead.at(25.0)) for h in site.halls}
    notes = [
        f"hall {h.name!r} limits its rigs: {halls[h.name]:.3f} MW at full draw, {h.limit_mw:.3f} MW allowed"
        for h in site.halls
        if halls[h.name] > h.limit_mw
    ]
    if (total := sum(halls.values())) > site.interconnect_mw:
        notes.append(f"the interconnect limits the site: {total:.3f} MW at full draw, {site.interconnect_mw:.3f} MW allowed")
    notes += double_selling.beyond(site, setup.book)
    if site.market is Market.ERCOT and setup.prices.source != "synthetic":
        # ERCOT Nodal Protocols 6.6.3: metered load settles at the energy-weighted zone price.
        zones = [m for m in site.meters if m.settlement_point.startswith("LZ_") and not m.settlement_point.endswith("_EW")]
        notes += [f"meter {m.id!r} settles at {(p := m.settlement_point)}; metered load in ERCOT settles at {p}_EW" for m in zones]
    if setup.prices.source == "synthetic":
        notes.append("prices are synthetic: nothing this site earns or owes is real")
    return {
        "site": site.name,
        "market": site.market.value,
        "rigs": sum(g.rigs for g in site.groups),
        "full_load_mw": round(total, 6),
        "hashrate_ph": round(sum(g.rigs * g.full.ths for g in site.groups) / 1000, 6),
        "groups": {
            g.name: {"rigs": g.rigs, "model": g.model, "modes": [m.name for m in g.modes], "driver": g.driver["kind"]} for g in site.groups
        },
        "obligations": [{"name": o.name, "type": type(o).type} for o in setup.book],
        "prices": setup.prices.source,
        "hash": setup.hash.source,
        "config_hash": setup.hash_id,
        "notes": notes,
        "unverified": list(setup.unverified),
    }
