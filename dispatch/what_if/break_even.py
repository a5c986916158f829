"""Solves for a break-even: the value of one key of a scenario at which rigs come back, or go."""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.signals.documents import DocumentFault, InvalidDocument, Name, Number, SignalDocument, parse_document
from dispatch.site_file.errors import did_you_mean
from dispatch.what_if.answer import BreakEvenAnswer
from dispatch.what_if.apply import case_inputs
from dispatch.what_if.base_plans import BasePlans
from dispatch.what_if.compare import with_loads_at_notice
from dispatch.what_if.scenario import Scenario, exactly_one
from dispatch.what_if.sweep import set_key
from markets import counted
from markets.grid import parse_instant
from optimizer.domain.site import Site
from optimizer.planning.plan_json import PlanDocument

HALF = 0.5
STEPS = 10_000  # parts of the range, of which one is found


class BreakEvenDocument(SignalDocument):
    """A scenario (may be empty), the key that moves between `low` and `high`, and the group or the hall whose rigs are watched; the whole
    site without either."""

    scenario: dict[str, Any] = {}
    key: Annotated[str, Field(min_length=1, max_length=300)]
    low: Number
    high: Number
    group: Name | None = None
    hall: Name | None = None

    @model_validator(mode="after")
    def _a_range_of_one(self) -> BreakEvenDocument:
        if self.high <= self.low:
            raise ValueError("`high` must be above `low`")
        if self.group is not None and self.hall is not None:
            exactly_one(self, "group", "hall")
        return self


def break_even(bases: BasePlans, asked: BreakEvenDocument) -> BreakEvenAnswer:
    """The value of the key at which the watched rigs hash half of what they can over the span, by bisection: what runs must follow the key
    one way. Raises InvalidDocument."""
    shares: dict[float, float] = {}
    names: tuple[str, ...] = ()

    def above_half(value: float) -> bool:
        nonlocal names
        case = _case(bases, asked, value)
        names = _watched(asked, case.site)
        shares[value] = hashed_share(bases.make_plan(case), case.site, names)
        return shares[value] >= HALF

    def at(step: int) -> float:
        return asked.low + (asked.high - asked.low) * step / STEPS

    first, last = above_half(asked.low), above_half(asked.high)
    value = None
    if first != last:
        value = at(bisect_left(range(STEPS), True, key=lambda step: above_half(at(step)) == last))
    at_low, at_high = shares[asked.low], shares[asked.high]
    return {
        "key": asked.key,
        "groups": list(names),
        "value": value,
        "share_at_low": at_low,
        "share_at_high": at_high,
        "plans": len(shares),
        "reasons": [_sentence(asked, names, value, at_low, at_high)],
    }


def _case(bases: BasePlans, asked: BreakEvenDocument, value: float) -> PlanInputs:
    """The inputs of the scenario's plan with the key at a value. Raises InvalidDocument."""
    document = copy.deepcopy(dict(asked.scenario))
    set_key(document, asked.key, value)
    requested = parse_document(Scenario, document)
    base = bases.of(requested)
    return with_loads_at_notice(case_inputs(bases.baseline, requested, base.inputs), base.inputs, base.plan)


def hashed_share(plan: PlanDocument, site: Site, names: Sequence[str]) -> float:
    """The share of what groups could hash over a plan's span that they hash."""
    could = sum(site.group(name).rigs * site.group(name).full.ths / 1e3 for name in names)
    done = hours = 0.0
    for interval in plan["intervals"]:
        h = (parse_instant(interval["end"]) - parse_instant(interval["start"])).total_seconds() / 3600
        done, hours = done + h * sum(interval["groups"][name]["hashrate_ph"] for name in names), hours + h
    return done / (could * hours) if could else 0.0


def _watched(asked: BreakEvenDocument, site: Site) -> tuple[str, ...]:
    """Raises InvalidDocument when the site has no such group or hall."""
    by_hall: Mapping[str, list[str]] = {h.name: [g.name for g in site.groups if g.hall == h.name] for h in site.halls}
    names = [g.name for g in site.groups]
    if asked.group is not None and asked.group not in names:
        raise InvalidDocument([DocumentFault("group", f"the site has no group {asked.group!r}" + did_you_mean(asked.group, names))])
    if asked.hall is not None and not by_hall.get(asked.hall):
        text = f"the site has no rigs in a hall {asked.hall!r}" + did_you_mean(asked.hall, by_hall)
        raise InvalidDocument([DocumentFault("hall", text)])
    return (asked.group,) if asked.group is not None else tuple(by_hall[asked.hall] if asked.hall is not None else names)


def _sentence(asked: BreakEvenDocument, names: Sequence[str], value: float | None, at_low: float, at_high: float) -> str:
    who = f"Group {asked.group}" if asked.group else f"Hall {asked.hall}" if asked.hall else f"The site ({counted(len(names), 'group')})"
    if value is None:
        return (
            f"{who} runs {at_low:.0%} at {asked.key} = {asked.low:g} and {at_high:.0%} at {asked.high:g}: there is no break-even between."
        )
    more = "above" if at_high > at_low else "below"
    return f"{who} runs at {asked.key} {more} {value:.6g}: {at_low:.0%} at {asked.low:g}, {at_high:.0%} at {asked.high:g}."
