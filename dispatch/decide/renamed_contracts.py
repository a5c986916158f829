"""Contracts that another site file calls by another name: their calls and awards go on under the new one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from markets.facts import Call
from optimizer.domain.calls import calls_in_force
from optimizer.domain.obligation import Obligation


class KnowsNames(Protocol):
    """What the current name of a contract is looked up in; `dispatch.decide.state.State` has it."""

    @property
    def renamed(self) -> Mapping[str, str]: ...


def renamed_contracts(old: Sequence[Obligation], new: Sequence[Obligation], earlier: Mapping[str, str]) -> dict[str, str]:
    """By old name, the new name of each contract that differs from one of the old book in nothing but its name; the names of `earlier`
    files follow. A contract that changed in anything else is another contract."""
    names, gone = {o.name for o in new}, [o for o in old if o.name not in {n.name for n in new}]
    added = [o for o in new if o.name not in {n.name for n in old}]
    found = {}
    for contract in gone:
        same = [o.name for o in added if _terms(o) == _terms(contract)]
        if len(same) == 1:
            found[contract.name] = same[0]
    moved = {first: found.get(now, now) for first, now in earlier.items()}
    return {first: now for first, now in {**moved, **found}.items() if first not in names}


def _terms(contract: Obligation) -> tuple[str, Any, Any]:
    options = {key: value for key, value in contract.options().items() if key != "name"}
    return contract.type, contract.scope, options


def current_name(document: Mapping[str, Any], state: KnowsNames) -> dict[str, Any]:
    """A call or an award with the name that its contract has now."""
    named = document.get("obligation")
    return {**document, "obligation": state.renamed.get(named, named)} if isinstance(named, str) else dict(document)


def calls_without_contract(calls: Iterable[Call], book: Sequence[Obligation], at: datetime) -> str:
    """A sentence on the calls in force at `at` whose contract the site file has no more; empty when there are none."""
    calls, names = tuple(calls), {o.name for o in book}
    gone = sorted({c.obligation for c in calls} - names)
    lost = [c for name in gone for c in calls_in_force(calls, name) if c.end_at is None or c.end_at > at]
    return "; ".join(f"nothing obeys call {c.id}: the site file has no contract {c.obligation!r} any more" for c in lost)
