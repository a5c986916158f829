"""The tables of a site file whose `kind` chooses a plug-in: drivers of rigs, meters, pumps and fans; and the checks these bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dispatch.site_file import plugins
from dispatch.site_file.errors import ConfigFault, shown, validated_by_kind
from dispatch.site_file.raw_document import tables

# Section, key of the table in each of its items, entry-point group of the table's class.
PLACES = (
    ("groups", "driver", plugins.DRIVERS),
    ("meters", "driver", plugins.METERS),
    ("halls", "feeder", plugins.METERS),
    ("groups", "pdu", plugins.METERS),
    ("halls", "cooling", plugins.COOLING),
    ("obligations", "controls", plugins.GENERATORS),
)
DEFAULT_DRIVER = {"kind": "simulated"}


def plugin_section_faults(document: Mapping[str, Any], folder: Path | None) -> Iterator[ConfigFault]:
    """What is wrong in these tables: their own keys, then what their classes check of the whole document."""
    for section, key, group in PLACES:
        for n, item in tables(document, section):
            table = item.get(key, DEFAULT_DRIVER if (section, key) == ("groups", "driver") else None)
            listed = isinstance(table, list)
            for k, one in enumerate(table if listed else [table]):
                if one is not None:
                    yield from _own_faults(one, key, group, (section, n, key, k) if listed else (section, n, key))
    checks = (check for name, group in _named(document) for check in plugins.installed(group)[name].site_checks)
    for check in dict.fromkeys(checks):
        yield from check(document, folder)


def _own_faults(table: Any, key: str, group: str, where: tuple[str | int, ...]) -> list[ConfigFault]:
    if key == "driver" and not isinstance(table, Mapping) and group == plugins.DRIVERS:
        return [ConfigFault(where, f'needs a table such as {{ kind = "simulated" }}, not {shown(table)}')]
    return validated_by_kind({key: table}, key, "kind", plugins.installed(group), None, where)[1]


def _named(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The `kind` of each table that is registered, with its entry-point group."""
    for section, key, group in PLACES:
        for _, item in tables(document, section):
            value = item.get(key)
            for table in value if isinstance(value, list) else [value]:
                if isinstance(table, Mapping) and isinstance(kind := table.get("kind"), str) and kind in plugins.installed(group):
                    yield kind, group
