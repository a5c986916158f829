"""A what-if over a grid of values: one or two keys of a scenario, KEY=a:b:n, and the money at each."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dispatch.runtime.planner import make
from dispatch.signals.documents import DocumentFault, InvalidDocument, SignalDocument, joined, read
from dispatch.what_if.apply import base_inputs, case_inputs
from dispatch.what_if.baseline import Baseline
from dispatch.what_if.compare import Make, short, totals, with_loads_at_notice
from dispatch.what_if.scenario import Scenario

MAX_CELLS = 400
LISTS = {"prices", "fleet", "book", "calls"}
WHOLE = {"horizon_h", "control_interval_min"}
NAMED = {"fleet": "group", "book": "change", "calls": "id"}


class SweepDocument(SignalDocument):
    """A scenario (empty: the site as it is) and one or two keys of it to vary: "prices.scale=0.5:2:7", "hash.usd_per_ph_day=30:60:7"."""

    scenario: dict[str, Any] = {}
    sweep: Annotated[list[Annotated[str, Field(max_length=300)]], Field(min_length=1, max_length=2)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A key of a scenario and the values it takes."""

    key: str
    values: tuple[float, ...]


def axis(text: str, path: str = "") -> Axis:
    """KEY=a:b:n, n values from a to b. Raises Faults."""
    key, equals, span = text.partition("=")
    parts = span.split(":")
    try:
        if not equals or not key or len(parts) != 3:
            raise ValueError
        first, last, n = float(parts[0]), float(parts[1]), int(parts[2])
    except ValueError:
        raise InvalidDocument([DocumentFault(path, f"{text!r} is not KEY=a:b:n such as prices.scale=0.5:2:7")]) from None
    if not (math.isfinite(first) and math.isfinite(last) and 1 <= n <= MAX_CELLS):
        raise InvalidDocument([DocumentFault(path, f"{text!r} needs finite ends and 1 to {MAX_CELLS} values")])
    return Axis(key, tuple(float(v) for v in np.linspace(first, last, n)))


def put(scenario: dict[str, Any], key: str, value: float) -> None:
    """Set a key of a scenario in place. A part of a list goes by position ("prices.0.scale") or by name ("fleet.a-s21.available",
    "book.block.mw"); "prices.scale" is the first one. Raises Faults."""
    section, *rest = key.split(".")
    if not rest:
        raise InvalidDocument([DocumentFault(key, "is a section: name a key in it, such as prices.scale")])
    if section in LISTS:
        table, rest = _item(scenario.setdefault(section, []), section, rest)
    else:
        table = scenario.setdefault(section, {})
    if len(rest) != 1 or not isinstance(table, dict):
        raise InvalidDocument([DocumentFault(key, "does not lead to a key of a scenario")])
    table[rest[0]] = int(value) if rest[0] in WHOLE and value == int(value) else value


def _item(items: Any, section: str, rest: list[str]) -> tuple[Any, list[str]]:
    """The table of a list that a path leads into, made when it is not there, and what is left of the path."""
    if not isinstance(items, list):
        raise InvalidDocument([DocumentFault(section, "needs a list [...]")])
    if len(rest) > 1 and rest[0].isdigit():
        if int(rest[0]) >= len(items):
            raise InvalidDocument([DocumentFault(joined(section, rest[0]), f"the scenario has {len(items)} there")])
        return items[int(rest[0])], rest[1:]
    if len(rest) == 1:
        if not items:
            items.append({})
        return items[0], rest
    key = NAMED.get(section)
    if key is None:
        raise InvalidDocument([DocumentFault(joined(section, rest[0]), "needs a position, counted from 0")])
    for item in items:
        if isinstance(item, dict) and item.get(key) == rest[0]:
            return item, rest[1:]
    items.append({key: rest[0]})
    return items[-1], rest[1:]


def sweep(ground: Baseline, scenario: Mapping[str, Any], keys: Sequence[str], make: Make = make) -> dict[str, Any]:
    """The scenario at every value of one or two keys, each written KEY=a:b:n.

    {"axes": [{"key", "values"}], "base": TOTALS, "rows": [{"at": [value, ...], **TOTALS, "difference_usd", "shortfall_usd"}]}, last axis
    fastest. Raises Faults.
    """
    if not 1 <= len(keys) <= 2:
        raise InvalidDocument([DocumentFault("sweep", f"one or two keys vary at once, not {len(keys)}")])
    axes = [axis(text, joined("sweep", n)) for n, text in enumerate(keys)]
    if len({a.key for a in axes}) < len(axes):
        raise InvalidDocument([DocumentFault("sweep", f"{axes[0].key!r} stands there twice")])
    points = _points(axes)
    scenarios = [_scenario(scenario, axes, at) for at in points]
    rows, bases = [], {}
    for at, wanted in zip(points, scenarios, strict=True):
        before = base_inputs(ground, wanted)
        grid = before.outlook.grid
        if grid not in bases:
            bases[grid] = make(before)
        case = make(with_loads_at_notice(case_inputs(ground, wanted, before), before, bases[grid]))
        there = totals(case)
        gain = there["net_usd"] - totals(bases[grid])["net_usd"]
        rows.append({"at": list(at), **there, "difference_usd": gain, "shortfall_usd": sum(usd for _, usd in short(case).values())})
    first = next(iter(bases.values()))
    return {"axes": [{"key": a.key, "values": list(a.values)} for a in axes], "base": totals(first), "rows": rows}


def _points(axes: Sequence[Axis]) -> list[tuple[float, ...]]:
    points: list[tuple[float, ...]] = [()]
    for a in axes:
        points = [(*p, v) for p in points for v in a.values]
    if len(points) > MAX_CELLS:
        raise InvalidDocument([DocumentFault("sweep", f"{len(points)} plans are too many at once: {MAX_CELLS} at most")])
    return points


def _scenario(scenario: Mapping[str, Any], axes: Sequence[Axis], at: Sequence[float]) -> Scenario:
    document = copy.deepcopy(dict(scenario))
    for a, value in zip(axes, at, strict=True):
        put(document, a.key, value)
    return read(Scenario, document)
