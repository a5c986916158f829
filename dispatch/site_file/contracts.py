"""The contracts of a site file: each [[obligations]] table becomes a contract of its `type`, beside those that every site has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.site_file import errors, market_rules, plugins
from dispatch.site_file.errors import ConfigFault, Where, did_you_mean, shown
from optimizer.domain.contract import Contract
from optimizer.domain.obligation import Book, Obligation
from optimizer.obligations import ALWAYS_AFTER, ALWAYS_BEFORE


def contract_tables(raw: Mapping[str, Any], pool_fee: float) -> list[tuple[int | None, Any]]:
    """The [[obligations]] tables with their positions in the file; None for a contract that every site has and that is not written.
    A contract with a pool fee takes that of the [hash] section unless its table has one."""
    items = raw.get("obligations", [])
    written: list[tuple[int | None, Any]] = list(enumerate(items)) if isinstance(items, list) else [(None, items)]
    types = [t.get("type") for _, t in written if isinstance(t, Mapping)]
    before, after = ([(None, {"type": kind}) for kind in always if kind not in types] for always in (ALWAYS_BEFORE, ALWAYS_AFTER))
    return [(n, _with_pool_fee(table, pool_fee)) for n, table in (*before, *written, *after)]


def _with_pool_fee(table: Any, pool_fee: float) -> Any:
    known = plugins.installed(plugins.OBLIGATIONS)
    kind = table.get("type") if isinstance(table, Mapping) else None
    takes = isinstance(kind, str) and kind in known and issubclass(known[kind], Contract) and known[kind].takes_pool_fee
    return {"pool_fee": pool_fee, **table} if takes else table


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
        elif not issubclass(known[kind], Contract):
            text = f"{shown(kind)} is a plug-in's class that does not derive from {Contract.__module__}.Contract"
            wrong.append(ConfigFault((*where, "type"), text))
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


def with_market_rules(obligation: Obligation) -> Obligation:
    """The contract with those of the market's dated rules that it follows."""
    return obligation.with_rules(market_rules.default_market_rules().dated())
