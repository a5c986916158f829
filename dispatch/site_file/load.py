"""Loads a site file into a Setup: the site, its contracts and the settings; every fault at once, each "FILE: key: what is wrong"."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatch import ConfigError
from dispatch.entries import canonical_json
from dispatch.site_file import plugins
from dispatch.site_file.contract_checks import contract_faults
from dispatch.site_file.contracts import contract_tables, read_contracts
from dispatch.site_file.cross_references import cross_reference_faults, references_hold
from dispatch.site_file.defaults import default_file
from dispatch.site_file.errors import ConfigFault, Where, did_you_mean, key_path, shown, to_json_values, validated, validated_by_kind
from dispatch.site_file.link_checks import link_faults
from dispatch.site_file.market_rules import read_market_rules
from dispatch.site_file.plugin_sections import plugin_section_faults
from dispatch.site_file.raw_document import tables
from dispatch.site_file.rig_catalogue import RigCatalogue, expand_group, read_rig_catalogue
from dispatch.site_file.setup import AlertSettings, ApiSettings, FactSettings, ReportSettings, Setup, TrainingSettings
from dispatch.site_file.summary import summary
from dispatch.site_file.tariff_file import tariff_faults
from optimizer.domain.site import Site

SITE_FILE_SECTIONS = (
    "site",
    "meters",
    "halls",
    "groups",
    "prices",
    "hash",
    "generation",
    "weather",
    "training",
    "obligations",
    "links",
    "envelopes",
    "api",
    "reports",
    "alerts",
)


@dataclass(frozen=True, slots=True)
class SiteFileCheck:
    """What `loadstone check` reports: the faults of a site file, or a summary of the site with what is unverified in it."""

    faults: tuple[str, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)


def load_site_file(path: str | Path, override: Mapping[str, Any] | None = None) -> Setup:
    """Read a site file. `override` puts whole sections in place of the file's, as the command line does:
    {"prices": {"source": "synthetic", "seed": 7}}.

    Raises ConfigError with every fault.
    """
    path = Path(path)
    try:
        raw, wrong = to_json_values(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: byte {error.start} is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None
    raw = {**raw, **(override or {})}
    wrong += _missing_files(raw, path.parent)
    return _setup(raw, wrong, path)


def setup_from_document(document: Mapping[str, Any]) -> Setup:
    """The Setup of a journal's `RunStarted.config`; reads no file of the site. Raises ConfigError with every fault."""
    return _setup(dict(document), [], None)


def check_site_file(path: str | Path) -> SiteFileCheck:
    """Every fault of a site file, or the summary of its site."""
    try:
        setup = load_site_file(path)
    except ConfigError as error:
        return SiteFileCheck(faults=tuple(error.faults))
    return SiteFileCheck(summary=summary(setup))


def _setup(raw: dict[str, Any], unreadable: list[ConfigFault], path: Path | None) -> Setup:
    """The Setup of a document as JSON values. `unreadable` are the faults found so far; where one stands, no second is added."""
    raw = _with_cooling(raw)
    models = read_rig_catalogue(default_file("rigs.toml"))
    rules = read_market_rules(default_file("programs.toml"))
    wrong = [
        ConfigFault((key,), "is not a section here" + did_you_mean(key, SITE_FILE_SECTIONS)) for key in raw if key not in SITE_FILE_SECTIONS
    ]
    wrong += cross_reference_faults(raw)
    wrong += plugin_section_faults(raw, path.parent if path else None)
    groups, group_faults = _groups(raw, models)
    site, site_faults = _site(raw, groups)
    prices, prices_faults = validated_by_kind(raw, "prices", "source", plugins.installed(plugins.SOURCES), "gridstatus")
    hash_, hash_faults = validated_by_kind(raw, "hash", "source", plugins.installed(plugins.HASHPRICES), None)
    generation, generation_faults = _where_named(raw, "generation", plugins.GENERATION)
    weather, weather_faults = _where_named(raw, "weather", plugins.WEATHER)
    (api, reports, alerts, training), settings_faults = _service_settings(raw)
    contracts = contract_tables(raw, getattr(hash_, "pool_fee", 0.0))
    book, table_faults = read_contracts(contracts)
    wrong += [
        *group_faults,
        *site_faults,
        *prices_faults,
        *hash_faults,
        *generation_faults,
        *weather_faults,
        *settings_faults,
        *table_faults,
    ]
    if site is not None and len(book) == len(contracts) and references_hold(site):
        wrong += contract_faults(site, [(n, o) for (n, _), o in zip(contracts, book, strict=True)])
        wrong += link_faults(raw, site, book)
    known = {fault.where for fault in unreadable}
    wrong = [*unreadable, *(fault for fault in wrong if fault.where not in known)]
    if wrong or site is None or prices is None or hash_ is None or api is None or reports is None or alerts is None or training is None:
        raise ConfigError(_lines(path, raw, wrong))
    document = _document(raw, groups, contracts, {"prices": prices, "hash": hash_, "generation": generation, "weather": weather})
    hash_id = hashlib.sha256(canonical_json(document)).hexdigest()
    unverified = (*rules.unverified(site.market, contracts=[o.type for o in book]), *_assumed(site, models))
    return Setup(site, book, prices, hash_, document, hash_id, rules, api, reports, alerts, training, generation, weather, unverified, path)


def _service_settings(
    raw: Mapping[str, Any],
) -> tuple[tuple[ApiSettings | None, ReportSettings | None, AlertSettings | None, TrainingSettings | None], list[ConfigFault]]:
    """The sections [api], [reports], [alerts] and [training]; None for one with faults."""
    api, api_faults = validated(ApiSettings, raw.get("api", {}), ("api",))
    reports, report_faults = validated(ReportSettings, raw.get("reports", {}), ("reports",))
    alerts, alert_faults = validated(AlertSettings, raw.get("alerts", {}), ("alerts",))
    training, training_faults = validated(TrainingSettings, raw.get("training", {}), ("training",))
    return (api, reports, alerts, training), [*api_faults, *report_faults, *alert_faults, *training_faults]


def _with_cooling(raw: dict[str, Any]) -> dict[str, Any]:
    """The document with the one table `fans` of a hall, as older files and journals have it, as its first and only `cooling`."""
    halls = raw.get("halls")
    if not isinstance(halls, list) or not any(isinstance(h, Mapping) and "fans" in h and "cooling" not in h for h in halls):
        return raw

    def renamed(hall: Any) -> Any:
        if not isinstance(hall, Mapping) or "fans" not in hall or "cooling" in hall:
            return hall
        return {**{k: v for k, v in hall.items() if k != "fans"}, "cooling": [hall["fans"]] if hall["fans"] else []}

    return {**raw, "halls": [renamed(hall) for hall in halls]}


def _lines(path: Path | None, raw: Mapping[str, Any], wrong: list[ConfigFault]) -> list[str]:
    """The faults in the file's order of sections, each once."""
    name = str(path) if path else "(journal)"
    ordered = sorted(wrong, key=_place)
    return list(dict.fromkeys(f"{name}: {key_path(raw, fault.where)}: {fault.what}" for fault in ordered))


def _place(fault: ConfigFault) -> tuple[int, int]:
    where = fault.where
    section = SITE_FILE_SECTIONS.index(where[0]) if where and where[0] in SITE_FILE_SECTIONS else -1
    return section, where[1] if len(where) > 1 and isinstance(where[1], int) else -1


def _groups(raw: Mapping[str, Any], models: RigCatalogue) -> tuple[list[Any], list[ConfigFault]]:
    """The groups with their modes in full."""
    items = raw.get("groups")
    groups: list[Any] = list(items) if isinstance(items, list) else []
    wrong: list[ConfigFault] = []
    for n, item in tables(raw, "groups"):
        groups[n], faults = expand_group(item, models)
        wrong += [ConfigFault(("groups", n, *fault.where), fault.what) for fault in faults]
    return groups, wrong


def _site(raw: Mapping[str, Any], groups: list[Any]) -> tuple[Site | None, list[ConfigFault]]:
    """The site with its meters, halls and groups; a meter without a settlement point takes the site's."""
    head = raw.get("site")
    if not isinstance(head, Mapping):
        return None, [ConfigFault(("site",), "is missing" if head is None else f"needs a table, not {shown(head)}")]
    inner = [k for k in head if k in ("meters", "halls", "groups")]
    wrong = [ConfigFault(("site", k), f"is written as [[{k}]], beside [site]") for k in inner]
    point = head.get("settlement_point")
    lists: dict[str, Any] = {"halls": raw.get("halls", []), "groups": groups, "meters": _meters(raw, point)}
    wrong += [ConfigFault((k,), f"needs tables [[{k}]], not {shown(raw[k])}") for k in lists if k in raw and not isinstance(raw[k], list)]
    wrong += [ConfigFault((k,), f"is missing: at least one [[{k}]]") for k in lists if raw.get(k, []) == []]
    site, faults = validated(Site, {**{k: v for k, v in head.items() if k not in inner}, **lists}, ())
    for where, what in faults:
        if not _modes_reported(where, groups):
            wrong.append(ConfigFault(where if where and where[0] in lists else ("site", *where), what))
    return site, wrong


def _modes_reported(where: Where, groups: list[Any]) -> bool:
    """Whether `expand_group` has reported already, in better words, why a group has no modes."""
    if len(where) != 3 or where[0] != "groups" or where[2] != "modes" or not isinstance(where[1], int):
        return False
    return isinstance(groups[where[1]], Mapping) and groups[where[1]].get("modes") is None


def _meters(raw: Mapping[str, Any], point: Any) -> Any:
    meters = raw.get("meters", [])
    if not isinstance(meters, list) or point is None:
        return meters
    return [{"settlement_point": point, **m} if isinstance(m, Mapping) else m for m in meters]


def _missing_files(raw: Mapping[str, Any], folder: Path) -> list[ConfigFault]:
    """Files and folders that sections name that are missing or cannot be read."""
    wrong: list[ConfigFault] = []
    for section, key in (("prices", "path"), ("hash", "path"), ("generation", "path"), ("weather", "path"), ("training", "archive")):
        table = raw.get(section)
        path = table.get(key) if isinstance(table, Mapping) and (section == "training" or table.get("source") == "archive") else None
        if isinstance(path, str) and not (folder / path).is_dir():
            wrong.append(ConfigFault((section, key), f"there is no folder {path!r}"))
    for section, keys in (("generation", ("measured", "forecast")), ("weather", ("file",))):
        table = found if isinstance(found := raw.get(section), Mapping) else {}
        for key in keys if table.get("source") == "csv" else ():
            if isinstance(name := table.get(key), str) and not (folder / name).is_file():
                wrong.append(ConfigFault((section, key), f"there is no file {name!r}"))
    return [*wrong, *tariff_faults(raw, folder)]


def _where_named(raw: Mapping[str, Any], section: str, group: str) -> tuple[Any, list[ConfigFault]]:
    """A section that names a source and that a file need not have; None where it has not."""
    return validated_by_kind(raw, section, "source", plugins.installed(group), None) if section in raw else (None, [])


def _document(
    raw: Mapping[str, Any], groups: list[Any], contracts: list[tuple[int | None, Any]], sources: Mapping[str, FactSettings | None]
) -> dict[str, Any]:
    """What was read and what stands in for what was not written; reading it again gives the same Setup."""
    document = {k: v for k, v in raw.items() if k in SITE_FILE_SECTIONS}
    document |= {"groups": groups, "obligations": [t for _, t in contracts]}
    document |= {section: settings.model_dump(mode="json") for section, settings in sources.items() if settings is not None}
    plain: dict[str, Any] = json.loads(canonical_json(document))
    return plain


def _assumed(site: Site, models: RigCatalogue) -> list[str]:
    """Figures of the rig catalogue that are assumed, not published, for the models the site runs."""
    used = dict.fromkeys(g.model for g in site.groups)
    return [f"{m}: {', '.join(a)} assumed, calibrate at the site (config/rigs.toml)" for m in used if (a := models.assumed(m))]
