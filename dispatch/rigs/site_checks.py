"""What drivers check of a site file beyond the keys of their own tables: subnets, rosters and dialects of the groups that name them."""

from __future__ import annotations

import importlib.util
import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dispatch.rigs.dialects import dialect_fault
from dispatch.rigs.roster import HALL, MODEL, InvalidRoster, of_group
from dispatch.rigs.wire import Dialect
from dispatch.site_file.errors import ConfigFault, shown
from dispatch.site_file.raw_document import tables

Table = Mapping[str, Any]


def dialect_faults(document: Table, folder: Path | None) -> Iterator[ConfigFault]:
    """Groups whose driver does not speak a dialect of their rigs."""
    for n, group, driver in _driven(document):
        model, dialect = group.get("model"), driver.get("dialect")
        if not isinstance(model, str) or not ("subnet" in driver or "roster" in driver):
            continue
        if dialect is not None and dialect not in set(Dialect):
            continue
        if text := dialect_fault(str(driver.get("kind")), model, dialect):
            yield ConfigFault(("groups", n, "driver"), text)


def subnet_faults(document: Table, folder: Path | None) -> Iterator[ConfigFault]:
    """Subnets that are too small or overlap. Rigs of a subnet are its first addresses in order, so two groups in one subnet would command
    the same rigs."""
    earlier: list[tuple[str, ipaddress.IPv4Network]] = []
    for n, group, driver in _driven(document):
        where = ("groups", n, "driver", "subnet")
        try:
            subnet = ipaddress.IPv4Network(driver["subnet"], strict=True) if isinstance(driver.get("subnet"), str) else None
        except ValueError:
            continue
        if subnet is None:
            continue
        hosts = subnet.num_addresses - (2 if subnet.prefixlen < 31 else 0)
        if type(group.get("rigs")) is int and group["rigs"] > hosts:
            yield ConfigFault(where, f"{subnet} has {hosts} addresses for {group['rigs']} rigs")
        for other, theirs in earlier:
            if subnet.overlaps(theirs):
                yield ConfigFault(where, f"{subnet} overlaps that of group {other!r}: both would command the same rigs")
        earlier.append((str(group.get("name")), subnet))


def roster_faults(document: Table, folder: Path | None) -> Iterator[ConfigFault]:
    """Rosters that are missing or unreadable, contradict the site file, or give two groups one rig. No file is read without a folder."""
    group_of: dict[str, str] = {}
    unreadable: set[str] = set()
    for n, group, driver in _driven(document):
        file = driver.get("roster")
        if folder is None or not isinstance(file, str) or not file:
            continue
        where, name = ("groups", n, "driver", "roster"), str(group.get("name"))
        try:
            rows = of_group(folder / file, name, "device" if driver.get("kind") == "fleet-bridge" else "ip")
        except OSError as error:
            yield ConfigFault(where, f"{file}: {error.strerror}")
            continue
        except InvalidRoster as error:
            # A map that several groups share is reported once.
            yield from (ConfigFault(where, f"{file}: {fault}") for fault in error.faults if file not in unreadable)
            unreadable.add(file)
            continue
        if type(group.get("rigs")) is int and len(rows) != group["rigs"]:
            yield ConfigFault(where, f"{file} names {len(rows)} rigs, the group has {group['rigs']}")
        for row in rows:
            for key in (MODEL, HALL):
                if row.columns.get(key) and row.columns[key] != group.get(key):
                    yield ConfigFault(where, f"{file}: line {row.line}: {key} {row.columns[key]!r}, the group says {shown(group.get(key))}")
            if row.rig in group_of:
                text = f"{file}: line {row.line}: {row.rig} is in group {group_of[row.rig]!r} too: both would command it"
                yield ConfigFault(where, text)
            group_of.setdefault(row.rig, name)


def start_faults(document: Table, folder: Path | None) -> Iterator[ConfigFault]:
    """Drivers that cannot start on this machine: an extra that is not installed, a file of credentials that is not there. No file is looked
    for without a folder."""
    for n, _, driver in _driven(document):
        if driver.get("kind") == "pyasic-rs" and importlib.util.find_spec("pyasic_rs") is None:
            yield ConfigFault(("groups", n, "driver", "kind"), "'pyasic-rs' is not installed: install Loadstone with its extra `rust`")
        kind, _, file = str(driver.get("credentials", "")).partition(":")
        if folder is not None and kind == "file" and file and not (folder / file).is_file():
            yield ConfigFault(("groups", n, "driver", "credentials"), f"there is no file {file} beside the site file")


def _driven(document: Table) -> Iterator[tuple[int, Table, Table]]:
    """Groups that have a `driver` table: position in the file, group, driver."""
    for n, group in tables(document, "groups"):
        if isinstance(driver := group.get("driver"), Mapping):
            yield n, group, driver
