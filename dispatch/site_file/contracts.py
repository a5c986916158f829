"""The contracts of a site file: each [[obligations]] table becomes a contract of its `type`; hashing, power and plant are always there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.site_file import errors, market_rules, plugins
from dispatch.site_file.errors import ConfigFault, Where, did_you_mean, shown
from optimizer.domain.obligation import Book, Obligation


def contract_tables(raw: Mapping[str, Any], pool_fee: float) -> list[tuple[int | None, Any]]:
    """The [[obligations]] tables with their positions in the file; hashing, power and plant that are not written have position None."""
    items = raw.get("obligations", [])
    written: list[tuple[int | None, Any]] = list(enumerate(items)) if isinstance(items, list) else [(None, items)]
    types = [t.get("type") for _, t in written if isinstance(t, Mapping)]
    written = [(n, {"pool_fee": pool_fee, **t} if isinstance(t, Mapping) and t.get("type") == "hashing" else t) for n, t in written]
    implied: list[tuple[int | None, Any]] = [] if "hashing" in types else [(None, {"type": "hashing", "pool_fee": pool_fee})]
    implied += [] if "power" in types else [(None, {"type": "power"})]
    return [*implied, *written, *([] if "plant" in types else [(None, {"type": "plant"})])]


def read_contracts(tables: list[tuple[int | None, Any]]) -> tuple[Book, list[ConfigFault]]:
    """The contracts of tables with their positions, and every fault. Raises ConfigError when a plug-in cannot be loaded."""
    known = plugins.installed(plugins.OBLIGATIONS)
    book: list[Obligation] = []
    wrong: list[ConfigFault] = []
    names: set[str] = set()
    for n, table in tables:
        where: Where = ("obligations",) if n is None else ("obligations", n)
        kind = table.get("type") if isinstance(table, Mapping) else None
        if not isinstance(table, Mapping):
            wrong.append(ConfigFault(where, f"needs tables [[obligations]], not {shown(table)}"))
        elif kind is None:
            wrong.append(ConfigFault((*where, "type"), "is missing" + did_you_mean("", known)))
        elif not isinstance(kind, str) or kind not in known:
            wrong.append(ConfigFault((*where, "type"), f"{shown(kind)} is not known" + did_you_mean(str(kind), known)))
        else:
            found, more = errors.validated(known[kind], {k: v for k, v in table.items() if k != "type"}, where)
            # Faults of a scope are reported by the cross references, in better words.
            wrong += [f for f in more if f.where[len(where) : len(where) + 1] != ("scope",)]
            book += [with_market_rules(found)] if found is not None else []
            name = found.name if found is not None else str(table.get("name", kind))
            if name in names:
                wrong.append(ConfigFault(where, f"there is already an obligation named {name!r}: give this one a name of its own"))
            names.add(name)
    return tuple(book), wrong


def with_market_rules(obligation: Any) -> Any:
    """The contract with the market's dated rules filled in, where it uses any."""
    return obligation.under(market_rules.default_market_rules().dated()) if getattr(type(obligation), "stands_on", ()) else obligation
