"""Calls and awards as the loop took them in, by the journal row that brought them: what ended long ago is looked up here, by its id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, insert, select

from dispatch.entries import canonical_json, fact_from_json, fact_to_json
from dispatch.store.tables import reading, signals
from markets.facts import Award, Call, Fact

S = TypeVar("S", Call, Award)


def signal_rows(seq: int, facts: Iterable[Fact]) -> Iterator[dict[str, Any]]:
    """The table rows of the calls and awards in a Seen at `seq`; `name` is the id of a call, the contract of an award."""
    for nth, fact in enumerate(facts):
        if isinstance(fact, Call | Award):
            kind, name = type(fact).__name__, fact.id if isinstance(fact, Call) else fact.obligation
            yield {"seq": seq, "nth": nth, "kind": kind, "name": name, "document": canonical_json(fact_to_json(fact)).decode()}


def write_signal_rows(connection: Connection, seq: int, facts: Iterable[Fact]) -> None:
    """Write the rows of a Seen, in the transaction that writes it to the journal."""
    if rows := list(signal_rows(seq, facts)):
        connection.execute(insert(signals), rows)


def signals_received(engine: Engine, kind: type[S], name: str | None = None, limit: int = 10_000) -> list[tuple[int, S]]:
    """The newest calls or awards, at most `limit`, newest first, each with its journal row; of one call id or one contract when `name` is
    given. Raises LedgerUnavailable."""
    wanted = select(signals.c.seq, signals.c.document).where(signals.c.kind == kind.__name__)
    if name is not None:
        wanted = wanted.where(signals.c.name == name)
    with reading(engine) as connection:
        rows = connection.execute(wanted.order_by(signals.c.seq.desc(), signals.c.nth.desc()).limit(limit)).all()
    facts = ((row.seq, fact_from_json(json.loads(row.document))) for row in rows)
    return [(seq, fact) for seq, fact in facts if isinstance(fact, kind)]
