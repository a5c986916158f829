"""What every Source keeps: run any of them through `conforms`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from markets.facts import Fact
from markets.grid import Interval
from markets.sources.source import Source


async def conforms(source: Source, since: datetime, until: datetime, cuts: Sequence[datetime] = ()) -> Sequence[Fact]:
    """Check a source that answers for any window (an archive, a synthetic market). Returns the facts of the window (since, until]."""
    facts = await source.fetch(since, until)
    check_facts(source, facts, since, until)
    assert list(await source.fetch(since, until)) == list(facts), "a second request must give the same facts"
    assert list(await source.fetch(until, until)) == [], "an empty window holds a fact"
    edges = [since, *sorted(cuts or thirds(since, until)), until]
    parts: list[Fact] = []
    for first, last in zip(edges, edges[1:], strict=False):
        parts += await source.fetch(first, last)
    assert parts == list(facts), "the windows (a, b] and (b, c] do not make (a, c]"
    return facts


def check_facts(source: Source, facts: Sequence[Fact], since: datetime, until: datetime) -> None:
    """What holds for a live source's answer too."""
    assert source.name and isinstance(source.synthetic, bool)
    assert [f.known_at for f in facts] == sorted(f.known_at for f in facts), "facts are not in order of known_at"
    assert len({repr(f) for f in facts}) == len(facts), "a fact is said twice"
    for fact in facts:
        assert isinstance(fact, Fact) and fact.source, f"{fact} cites no source"
        assert since < fact.known_at <= until, f"{fact} was not learned in ({since}, {until}]"
        for value in field_values(fact):
            if isinstance(value, datetime):
                assert value.tzinfo is UTC, f"{fact} holds an instant that is not UTC"
            if isinstance(value, float):
                assert math.isfinite(value), f"{fact} holds {value}"
        over = getattr(fact, "over", None)
        if isinstance(over, Interval):
            assert over.end - over.start <= timedelta(days=400), f"{fact} spans more than a year"


def field_values(fact: Fact) -> list[Any]:
    """Every value a fact holds, those of its interval too."""
    values: list[Any] = []
    for field in fields(fact):
        value = getattr(fact, field.name)
        values.extend(astuple(value) if is_dataclass(value) and not isinstance(value, type) else [value])
    return values


def thirds(since: datetime, until: datetime) -> list[datetime]:
    """Two cuts, off every market's rhythm."""
    third = (until - since) / 3
    return [since + third + timedelta(seconds=7), until - third + timedelta(seconds=11)]
