"""What one section of a site file says of another: names that must exist, be unique, and fit."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dispatch.rigs.dialects import unspoken
from dispatch.rigs.roster import HALL, MODEL, of_group
from dispatch.rigs.wire import Dialect
from dispatch.site_file.errors import ConfigFault, meant, shown
from optimizer.domain.site import Scope

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]*")


def tables(document: Mapping[str, Any], section: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The tables of a section with their positions; what is no table is somebody else's fault."""
    items = document.get(section)
    for n, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield n, item


def names(document: Mapping[str, Any], section: str, key: str = "name") -> list[str]:
    return [item[key] for _, item in tables(document, section) if isinstance(item.get(key), str)]


def faults(document: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """Every cross reference that leads nowhere, every name that stands twice, every setting of the site that its market does not allow."""
    for section, key in (("meters", "id"), ("halls", "name"), ("groups", "name")):
        yield from _unique(document, section, key)
    yield from _leads(document, "halls", "meter", names(document, "meters", "id"), "meter")
    yield from _leads(document, "groups", "hall", names(document, "halls"), "hall")
    yield from _site(document.get("site"))
    yield from _prices(document)
    yield from _shared_subnets(document)
    yield from _speech(document)
    for n, item in tables(document, "obligations"):
        yield from _scope(document, item.get("scope"), ("obligations", n, "scope"))


def _unique(document: Mapping[str, Any], section: str, key: str) -> Iterator[ConfigFault]:
    seen: set[str] = set()
    for n, item in tables(document, section):
        name = item.get(key)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield (section, n, key), f"{name!r} stands there twice"
        elif not _NAME.fullmatch(name):
            yield (section, n, key), f"{name!r} may hold letters, digits, space and . _ + - only, and starts with a letter or a digit"
        seen.add(name)


def _speech(document: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """Rigs that are spoken to in what they do not understand."""
    for n, item in tables(document, "groups"):
        driver, model = item.get("driver"), item.get("model")
        if not isinstance(driver, Mapping) or not isinstance(model, str) or not ("subnet" in driver or "roster" in driver):
            continue
        told = driver.get("dialect")
        if told is not None and told not in set(Dialect):
            continue
        if text := unspoken(str(driver.get("kind")), model, told):
            yield ("groups", n, "driver"), text


def _leads(document: Mapping[str, Any], section: str, key: str, known: list[str], what: str) -> Iterator[ConfigFault]:
    for n, item in tables(document, section):
        if isinstance(item.get(key), str) and item[key] not in known:
            yield (section, n, key), f"there is no {what} {item[key]!r}" + meant(item[key], known)


def _site(site: Any) -> Iterator[ConfigFault]:
    if not isinstance(site, Mapping):
        return
    zone = site.get("timezone")
    if isinstance(zone, str):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            yield ("site", "timezone"), f"{zone!r} is not a time zone" + (meant(zone, available_timezones()).partition("; known")[0])
    minutes = site.get("control_interval_min")
    if type(minutes) is int and 1 <= minutes <= 60 and 60 % minutes:
        yield ("site", "control_interval_min"), f"must divide the hour, not {minutes}"


def _prices(document: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """A market's feed knows no tariff, and a tariff no market."""
    site, prices = document.get("site"), document.get("prices", {})
    market = site.get("market") if isinstance(site, Mapping) else None
    source = prices.get("source", "gridstatus") if isinstance(prices, Mapping) else None
    if market == "tariff" and source == "gridstatus":
        yield ("prices",), 'a site on a tariff has no market\'s feed: source = "tariff" and its file'
    if source == "tariff" and market in ("ercot", "miso"):
        yield ("prices", "source"), f"'tariff' needs market = \"tariff\"; the site is in {market}"


def _scope(document: Mapping[str, Any], scope: Any, at: tuple[str | int, ...]) -> Iterator[ConfigFault]:
    if scope is None:
        return
    if not isinstance(scope, Mapping):
        yield at, f'needs a table such as {{ hall = "a" }}, not {shown(scope)}'
        return
    groups = [g for _, g in tables(document, "groups")]
    known = {
        "meter": names(document, "meters", "id"),
        "hall": names(document, "halls"),
        "tenant": sorted({str(g.get("tenant", "own")) for g in groups}),
        "groups": names(document, "groups"),
    }
    sound = True
    for key, value in scope.items():
        if key not in Scope.__dataclass_fields__:
            yield (*at, key), "is not a key here" + meant(key, known)
            sound = False
            continue
        if not _names(value, key):
            yield (*at, key), f"needs {'a list of names' if key == 'groups' else 'a name in quotes'}, not {shown(value)}"
            sound = False
            continue
        for name in value if isinstance(value, list) else [value]:
            if name not in known[key]:
                yield (*at, key), f"there is no {key.removesuffix('s')} {name!r}" + meant(name, known[key])
                sound = False
    if sound and scope and not any(_within(document, scope, g) for g in groups):
        yield at, "holds no rig group"


def _names(value: Any, key: str) -> bool:
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


def _shared_subnets(document: Mapping[str, Any]) -> Iterator[ConfigFault]:
    """Rigs of a subnet are its first addresses in order, so two groups in one subnet would command the same rigs."""
    taken: list[tuple[str, ipaddress.IPv4Network]] = []
    for n, group in tables(document, "groups"):
        driver = group.get("driver")
        if not isinstance(driver, Mapping) or not isinstance(driver.get("subnet"), str):
            continue
        try:
            subnet = ipaddress.IPv4Network(driver["subnet"], strict=True)
        except ValueError:
            continue
        hosts = subnet.num_addresses - (2 if subnet.prefixlen < 31 else 0)
        if type(group.get("rigs")) is int and group["rigs"] > hosts:
            yield ("groups", n, "driver", "subnet"), f"{subnet} has {hosts} addresses for {group['rigs']} rigs"
        for other, theirs in taken:
            if subnet.overlaps(theirs):
                yield ("groups", n, "driver", "subnet"), f"{subnet} overlaps that of group {other!r}: both would command the same rigs"
        taken.append((str(group.get("name")), subnet))


def roster_faults(document: Mapping[str, Any], folder: Path) -> Iterator[ConfigFault]:
    """Rosters that are not there, cannot be read, say otherwise than the site file, or give two groups the same rig."""
    taken: dict[str, str] = {}
    for n, group in tables(document, "groups"):
        driver = group.get("driver")
        if not isinstance(driver, Mapping) or not isinstance(driver.get("roster"), str):
            continue
        at, name = ("groups", n, "driver", "roster"), str(group.get("name"))
        try:
            found = of_group(folder / driver["roster"], name, "device" if driver.get("kind") == "fleet-bridge" else "ip")
        except (OSError, ValueError) as error:
            yield at, f"{driver['roster']}: {error.strerror if isinstance(error, OSError) else error}"
            continue
        if type(group.get("rigs")) is int and len(found) != group["rigs"]:
            yield at, f"{driver['roster']} names {len(found)} rigs, the group has {group['rigs']}"
        for row in found:
            for key in (MODEL, HALL):
                if row.said.get(key) and row.said[key] != group.get(key):
                    yield at, f"{driver['roster']}: line {row.line}: {key} {row.said[key]!r}, the group says {shown(group.get(key))}"
            if row.rig in taken:
                yield at, f"{driver['roster']}: line {row.line}: {row.rig} is in group {taken[row.rig]!r} too: both would command it"
            taken.setdefault(row.rig, name)
