"""A what-if at every point of a grid: one or two keys of a scenario vary, each written KEY=FIRST:LAST:COUNT."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from dispatch.signals.documents import DocumentFault, InvalidDocument, SignalDocument, joined_path, parse_document
from dispatch.what_if.answer import SweepAnswer, SweepRow
from dispatch.what_if.apply import case_inputs
from dispatch.what_if.base_plans import BasePlans
from dispatch.what_if.compare import shortfalls, totals, with_loads_at_notice
from dispatch.what_if.scenario import Scenario
from markets import counted

MAX_PLANS = 441  # 21 x 21
LISTS = {"prices", "fleet", "book", "calls"}
INTEGER_KEYS = {"horizon_h", "control_interval_min"}
NAME_KEYS = {"fleet": "group", "book": "change", "calls": "id"}


class SweepDocument(SignalDocument):
    """A scenario (may be empty) and one or two of its keys to vary: "prices.scale=0.5:2:7", "hash.usd_per_ph_day=30:60:7"."""

    scenario: dict[str, Any] = {}
    sweep: Annotated[list[Annotated[str, Field(max_length=300)]], Field(min_length=1, max_length=2)]


@dataclass(frozen=True, slots=True)
class Axis:
    """A key of a scenario and the values it takes, first to last."""

    key: str
    values: tuple[float, ...]


def axis(text: str, path: str = "") -> Axis:
    """Parse KEY=FIRST:LAST:COUNT. Raises InvalidDocument."""
    key, equals, span = text.partition("=")
    parts = span.split(":")
    try:
        if not equals or not key or len(parts) != 3:
            raise ValueError
        first, last, n = float(parts[0]), float(parts[1]), int(parts[2])
    except ValueError:
        raise InvalidDocument([DocumentFault(path, f"{text!r} is not KEY=FIRST:LAST:COUNT such as prices.scale=0.5:2:7")]) from None
    if not (math.isfinite(first) and math.isfinite(last) and 1 <= n <= MAX_PLANS):
        raise InvalidDocument([DocumentFault(path, f"{text!r} needs finite numbers and a count of 1 to {MAX_PLANS} values")])
    return Axis(key, tuple(float(v) for v in np.linspace(first, last, n)))


def set_key(scenario: dict[str, Any], key: str, value: float) -> None:
    """Set a key of a scenario in place. An element of a list is given by position ("prices.0.scale") or by name ("fleet.a-s21.available",
    "book.block.mw"); "prices.scale" means the first element. Raises InvalidDocument."""
    section, *rest = key.split(".")
    if not rest:
        raise InvalidDocument([DocumentFault(key, "is a section: add a key of it, such as prices.scale")])
    if section in LISTS:
        table, rest = _item(scenario.setdefault(section, []), section, rest)
    else:
        table = scenario.setdefault(section, {})
    if len(rest) != 1 or not isinstance(table, dict):
        raise InvalidDocument([DocumentFault(key, "is not a key of a scenario")])
    table[rest[0]] = int(value) if rest[0] in INTEGER_KEYS and value == int(value) else value


def _item(items: Any, section: str, rest: list[str]) -> tuple[Any, list[str]]:
    """The element of a list that a path names, added when missing, and the rest of the path."""
    if not isinstance(items, list):
        raise InvalidDocument([DocumentFault(section, "needs a list [...]")])
    if len(rest) > 1 and rest[0].isdigit():
        if int(rest[0]) >= len(items):
            raise InvalidDocument([DocumentFault(joined_path(section, rest[0]), f"the list has {counted(len(items), 'element')}")])
        return items[int(rest[0])], rest[1:]
    if len(rest) == 1:
        if not items:
            items.append({})
        return items[0], rest
    key = NAME_KEYS.get(section)
    if key is None:
        raise InvalidDocument([DocumentFault(joined_path(section, rest[0]), "needs a position, counted from 0")])
    for item in items:
        if isinstance(item, dict) and item.get(key) == rest[0]:
            return item, rest[1:]
    items.append({key: rest[0]})
    return items[-1], rest[1:]


def sweep(bases: BasePlans, scenario: Mapping[str, Any], keys: Sequence[str]) -> SweepAnswer:
    """The scenario planned at every point of the grid of one or two keys, each written KEY=FIRST:LAST:COUNT. Raises InvalidDocument."""
    if not 1 <= len(keys) <= 2:
        raise InvalidDocument([DocumentFault("sweep", f"needs one or two keys, not {len(keys)}")])
    axes = [axis(text, joined_path("sweep", n)) for n, text in enumerate(keys)]
    if len({a.key for a in axes}) < len(axes):
        raise InvalidDocument([DocumentFault("sweep", f"{axes[0].key!r} is given twice")])
    points = _points(axes)
    scenarios = [_scenario(scenario, axes, values) for values in points]
    rows: list[SweepRow] = []
    for values, requested in zip(points, scenarios, strict=True):
        base = bases.of(requested)
        after = case_inputs(bases.baseline, requested, base.inputs)
        case = bases.make_plan(with_loads_at_notice(after, base.inputs, base.plan))
        sums = totals(case)
        gain_usd = sums["net_usd"] - totals(base.plan)["net_usd"]
        short_usd = sum(usd for _, usd in shortfalls(case).values())
        rows.append({**sums, "values": list(values), "difference_usd": gain_usd, "shortfall_usd": short_usd})
    first = bases.of(scenarios[0]).plan
    return {"axes": [{"key": a.key, "values": list(a.values)} for a in axes], "base": totals(first), "rows": rows}


def _points(axes: Sequence[Axis]) -> list[tuple[float, ...]]:
    points: list[tuple[float, ...]] = [()]
    for a in axes:
        points = [(*p, v) for p in points for v in a.values]
    if len(points) > MAX_PLANS:
        raise InvalidDocument([DocumentFault("sweep", f"the grid has {len(points):,} points; at most {MAX_PLANS} are planned")])
    return points


def _scenario(scenario: Mapping[str, Any], axes: Sequence[Axis], values: Sequence[float]) -> Scenario:
    document = copy.deepcopy(dict(scenario))
    for a, value in zip(axes, values, strict=True):
        set_key(document, a.key, value)
    return parse_document(Scenario, document)
