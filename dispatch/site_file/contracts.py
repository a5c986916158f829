"""The book of a site: each [[obligations]] table becomes an obligation of its `type`, and three stand in it whether written or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.site_file import errors, market_rules, plugins
from dispatch.site_file.errors import ConfigFault, meant, shown
from optimizer.domain.obligation import Book, Obligation


def entries(raw: Mapping[str, Any], pool_fee: float) -> list[tuple[int | None, Any]]:
    """The book as tables, each with its position in the file; hashing, index power and the plant stand in it whether written or not."""
    items = raw.get("obligations", [])
    written: list[tuple[int | None, Any]] = list(enumerate(items)) if isinstance(items, list) else [(None, items)]
    types = [t.get("type") for _, t in written if isinstance(t, Mapping)]
    written = [(n, {"pool_fee": pool_fee, **t} if isinstance(t, Mapping) and t.get("type") == "hashing" else t) for n, t in written]
    implied: list[tuple[int | None, Any]] = [] if "hashing" in types else [(None, {"type": "hashing", "pool_fee": pool_fee})]
    implied += [] if "power" in types else [(None, {"type": "power"})]
    return [*implied, *written, *([] if "plant" in types else [(None, {"type": "plant"})])]


def read(tables: list[tuple[int | None, Any]]) -> tuple[Book, list[ConfigFault]]:
    """The obligations of tables with their positions, and every fault. Raises ConfigError when a plug-in cannot be loaded."""
    known = plugins.offered(plugins.OBLIGATIONS)
    book: list[Obligation] = []
    wrong: list[ConfigFault] = []
    names: set[str] = set()
    for n, table in tables:
        at: tuple[str | int, ...] = ("obligations",) if n is None else ("obligations", n)
        kind = table.get("type") if isinstance(table, Mapping) else None
        if not isinstance(table, Mapping):
            wrong.append((at, f"needs tables [[obligations]], not {shown(table)}"))
        elif kind is None:
            wrong.append(((*at, "type"), "is missing" + meant("", known)))
        elif not isinstance(kind, str) or kind not in known:
            wrong.append(((*at, "type"), f"{shown(kind)} is not known" + meant(str(kind), known)))
        else:
            found, more = errors.model(known[kind], {k: v for k, v in table.items() if k != "type"}, at)
            wrong += [f for f in more if not _said(f, len(at))]
            book += [ruled(found)] if found is not None else []
            name = found.name if found is not None else str(table.get("name", kind))
            if name in names:
                wrong.append((at, f"there is already an obligation named {name!r}: give this one a name of its own"))
            names.add(name)
    return tuple(book), wrong


def ruled(obligation: Any) -> Any:
    """The obligation under the market's dated rules, where it stands on any."""
    return obligation.under(market_rules.shipped().dated()) if getattr(type(obligation), "stands_on", ()) else obligation


def _said(fault: ConfigFault, depth: int) -> bool:
    """Faults of a scope are found by the cross references, in better words."""
    return fault[0][depth : depth + 1] == ("scope",)
