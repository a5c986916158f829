"""Reading a site file's document before it is validated: any key may be missing or of the wrong type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def tables(document: Mapping[str, Any], section: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The tables of a section, such as each [[groups]], with their positions; items that are no tables are left out."""
    items = document.get(section)
    for n, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, Mapping):
            yield n, item


def names(document: Mapping[str, Any], section: str, key: str = "name") -> list[str]:
    """The texts under `key` in the tables of a section, in their order."""
    return [item[key] for _, item in tables(document, section) if isinstance(item.get(key), str)]
