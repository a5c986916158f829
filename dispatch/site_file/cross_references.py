"""What one section of a site file refers to in another: names that must exist, be unique, and fit together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dispatch.site_file.errors import ConfigFault, Where, did_you_mean, shown
from dispatch.site_file.raw_document import names, tables
from optimizer.domain.site import Scope, Site

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]*")


def cross_reference_faults(document: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """References to names that do not exist, names used twice, and settings that the site's market does not allow."""
    for section, key in (("meters", "id"), ("halls", "name"), ("groups", "name")):
        yield from _name_faults(document, section, key)
    yield from _missing_names(document, "halls", "meter", names(document, "meters", "id"), "meter")
    yield from _missing_names(document, "groups", "hall", names(document, "halls"), "hall")
    yield from _site(document.get("site"))
    yield from _prices(document)
    for n, item in tables(document, "obligations"):
        yield from _scope(document, item.get("scope"), ("obligations", n, "scope"))


def references_hold(site: Site) -> bool:
    """Whether every hall has its meter and every group its hall; where they do not, contracts cannot be asked about the site."""
    halls, meters = {h.name for h in site.halls}, {m.id for m in site.meters}
    return {h.meter for h in site.halls} <= meters and {g.hall for g in site.groups} <= halls


def _name_faults(document: Mapping[str, Any], section: str, key: str) -> Iterator[ConfigFault]:
    seen: set[str] = set()
    for n, item in tables(document, section):
        name = item.get(key)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield ConfigFault((section, n, key), f"{name!r} is used twice")
        elif not _NAME.fullmatch(name):
            yield ConfigFault(
                (section, n, key), f"{name!r} may hold letters, digits, space and . _ + - only, and starts with a letter or a digit"
            )
        seen.add(name)


def _missing_names(document: Mapping[str, Any], section: str, key: str, known: list[str], what: str) -> Iterator[ConfigFault]:
    for n, item in tables(document, section):
        if isinstance(item.get(key), str) and item[key] not in known:
            yield ConfigFault((section, n, key), f"there is no {what} {item[key]!r}" + did_you_mean(item[key], known))


def _site(site: Any) -> Iterator[ConfigFault]:
    if not isinstance(site, Mapping):
        return
    zone = site.get("timezone")
    if isinstance(zone, str):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            nearest = did_you_mean(zone, available_timezones()).partition("; known")[0]
            yield ConfigFault(("site", "timezone"), f"{zone!r} is not a time zone{nearest}")
    minutes = site.get("control_interval_min")
    if type(minutes) is int and 1 <= minutes <= 60 and 60 % minutes:
        yield ConfigFault(("site", "control_interval_min"), f"must divide the hour, not {minutes}")


def _prices(document: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """A market's feed has no prices for a site on a tariff, and a tariff none for a site in a market."""
    site, prices = document.get("site"), document.get("prices", {})
    market = site.get("market") if isinstance(site, Mapping) else None
    source = prices.get("source", "gridstatus") if isinstance(prices, Mapping) else None
    if market == "tariff" and source == "gridstatus":
        yield ConfigFault(("prices",), 'a site on a tariff has no market\'s feed: source = "tariff" and its file')
    if source == "tariff" and market in ("ercot", "miso"):
        yield ConfigFault(("prices", "source"), f"'tariff' needs market = \"tariff\"; the site is in {market}")


def _scope(document: Mapping[str, Any], scope: Any, where: Where) -> Iterator[ConfigFault]:
    if scope is None:
        return
    if not isinstance(scope, Mapping):
        yield ConfigFault(where, f'needs a table such as {{ hall = "a" }}, not {shown(scope)}')
        return
    groups = [g for _, g in tables(document, "groups")]
    known = {
        "meter": names(document, "meters", "id"),
        "hall": names(document, "halls"),
        "tenant": sorted({str(g.get("tenant", "own")) for g in groups}),
        "groups": names(document, "groups"),
    }
    valid = True
    for key, value in scope.items():
        if key not in Scope.__dataclass_fields__:
            yield ConfigFault((*where, key), "is not a key here" + did_you_mean(key, known))
            valid = False
            continue
        if not _right_type(value, key):
            yield ConfigFault((*where, key), f"needs {'a list of names' if key == 'groups' else 'a name in quotes'}, not {shown(value)}")
            valid = False
            continue
        for name in value if isinstance(value, list) else [value]:
            if name not in known[key]:
                yield ConfigFault((*where, key), f"there is no {key.removesuffix('s')} {name!r}" + did_you_mean(name, known[key]))
                valid = False
    if valid and scope and not any(_within(document, scope, g) for g in groups):
        yield ConfigFault(where, "matches no rig group")


def _right_type(value: Any, key: str) -> bool:
    if key == "groups":
        return isinstance(value, list) and all(isinstance(name, str) for name in value)
    return isinstance(value, str)


def _within(document: Mapping[str, Any], scope: Mapping[str, Any], group: Mapping[str, Any]) -> bool:
    meter = next((h.get("meter") for _, h in tables(document, "halls") if h.get("name") == group.get("hall")), None)
    return (
        scope.get("meter") in (None, meter)
        and scope.get("hall") in (None, group.get("hall"))
        and scope.get("tenant") in (None, group.get("tenant", "own"))
        and (scope.get("groups") is None or group.get("name") in scope["groups"])
    )
