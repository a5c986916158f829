"""The market rules that differ between the days of a baseline and the day whose rules a scenario asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NotRequired

from typing_extensions import TypedDict

from dispatch.site_file.market_rules import MarketRule, MarketRules
from optimizer.domain.obligation import Obligation


class RuleSide(TypedDict):
    """A rule as it holds on a day: its value (a number with its unit), its first day, where it is published, and whether somebody
    checked."""

    value: str
    since: str
    published: str
    verified: bool


class RuleChange(TypedDict):
    """A rule of a contract that says another thing on the scenario's day: as it is (`base`) and as the scenario has it (`case`); a side
    on whose day there is no such rule is left out."""

    contract: str
    rule: str
    base: NotRequired[RuleSide]
    case: NotRequired[RuleSide]


def rule_changes(book: Sequence[Obligation], rules: MarketRules, base_day: date, case_day: date) -> list[RuleChange]:
    """By contract, in the order of the file, the rules that bind it and whose value differs between two operating days."""
    return [change for contract in book for change in _of_contract(contract, rules, base_day, case_day)]


def _of_contract(contract: Obligation, rules: MarketRules, base_day: date, case_day: date) -> Iterator[RuleChange]:
    ids = dict.fromkeys(r.id for r in rules.rules if contract.is_bound_by(r.id))
    for id_ in ids:
        before, after = rules.find(id_, base_day), rules.find(id_, case_day)
        if _value(before) == _value(after):
            continue
        change: RuleChange = {"contract": contract.name, "rule": id_}
        if before is not None:
            change["base"] = _side(before)
        if after is not None:
            change["case"] = _side(after)
        yield change


def _value(rule: MarketRule | None) -> object:
    return None if rule is None else rule.value


def _side(rule: MarketRule) -> RuleSide:
    value = str(rule.value) if isinstance(rule.value, str) else f"{rule.value} {rule.unit}"
    return {"value": value, "since": rule.from_.isoformat(), "published": rule.published, "verified": rule.verified}


def sentence(change: RuleChange) -> str:
    """A change in words, with its rule and its days."""
    return f"{change['contract']}: {change['rule']} is {_said(change.get('case'))} instead of {_said(change.get('base'))}"


def _said(side: RuleSide | None) -> str:
    if side is None:
        return "not there"
    checked = "" if side["verified"] else "; not verified"
    return f"{side['value']} (from {side['since']}, {side['published']}{checked})"
