"""Market rules with dates: value, unit, the days each holds, where it is published, and whether it was checked against that text."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from dispatch import ConfigError
from dispatch.site_file import errors
from dispatch.site_file.defaults import default_file
from dispatch.site_file.errors import ConfigFault, Where
from markets.grid import Market
from optimizer.domain.market_rules import Dated
from optimizer.domain.site import Written


class MarketRule(Written):
    """A rule over the operating days [from, to). `market` None means every market; `contract` limits it to sites with a contract of this
    type, or of one of these types; `text` is the rule in one sentence, for a report's footer."""

    id: str
    market: Market | None = None
    contract: str | tuple[str, ...] | None = None
    value: float | int | str
    unit: str
    from_: date = Field(alias="from")
    to: date | None = None
    published: str
    text: str
    verified: bool

    @model_validator(mode="after")
    def _spans_days(self) -> MarketRule:
        if self.to is not None and self.to <= self.from_:
            raise ValueError(f"holds until {self.to}, which is not after {self.from_}")
        return self

    def holds(self, on: date) -> bool:
        return self.from_ <= on and (self.to is None or on < self.to)

    def applies_to(self, contracts: Collection[str]) -> bool:
        """Whether the rule applies to a site with contracts of these types."""
        alone = (self.contract,) if isinstance(self.contract, str) else self.contract
        return alone is None or any(kind in contracts for kind in alone)

    @property
    def cited(self) -> str:
        return f"{self.id} ({self.published}{'' if self.verified else '; not verified'})"


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The rules of a file, looked up by id and operating day."""

    rules: tuple[MarketRule, ...]

    def in_force(self, id_: str, on: date) -> MarketRule:
        """The rule in force on a day. Raises KeyError when the file has none for it."""
        for rule in self.rules:
            if rule.id == id_ and rule.holds(on):
                return rule
        raise KeyError(f"no rule {id_!r} holds on {on.isoformat()}")

    def find(self, id_: str, on: date) -> MarketRule | None:
        return next((r for r in self.rules if r.id == id_ and r.holds(on)), None)

    def number(self, id_: str, on: date) -> float:
        """The value of the rule in force on a day. Raises KeyError when there is none, or when its value is not a number."""
        value = self.in_force(id_, on).value
        if isinstance(value, str):
            raise KeyError(f"rule {id_!r} is {value!r}, not a number")
        return float(value)

    def dated(self) -> tuple[Dated, ...]:
        """The rules as contracts read them."""
        return tuple(Dated(r.id, r.value, r.from_, r.to, r.cited) for r in self.rules)

    def of(self, market: Market) -> tuple[MarketRule, ...]:
        """The rules of a market, those of every market included."""
        return tuple(r for r in self.rules if r.market in (None, market))

    def unverified(self, market: Market, on: date | None = None, contracts: Collection[str] = ()) -> tuple[str, ...]:
        """One sentence for each rule in force on a day (in force without an end when None) that was not checked against its source; of the
        rules of single contract types, those of `contracts`."""
        held = (r for r in self.of(market) if (r.to is None if on is None else r.holds(on)) and r.applies_to(contracts))
        return tuple(f"{r.id}: {r.text} ({r.published})" for r in held if not r.verified)


def read_market_rules(path: Path) -> MarketRules:
    """The rules of a TOML file. Raises ConfigError with every fault; two rules of one id may not hold on the same day."""
    try:
        document, wrong = errors.to_json_values(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    found: list[MarketRule] = []
    for n, raw in enumerate(document.get("rules", [])):
        rule, more = _rule(raw, ("rules", n))
        wrong += more
        if rule is not None:
            clash = next((r for r in found if r.id == rule.id and _overlap(r, rule)), None)
            if clash:
                wrong.append(ConfigFault(("rules", n, "from"), f"{rule.id} already has a value from {clash.from_} on"))
            found.append(rule)
    if wrong:
        raise ConfigError([f"{path.name}: {errors.key_path(document, fault.where)}: {fault.what}" for fault in wrong])
    return MarketRules(tuple(found))


@cache
def default_market_rules() -> MarketRules:
    """The rules that come with this version. Raises ConfigError."""
    return read_market_rules(default_file("programs.toml"))


def _rule(raw: Mapping[str, Any], where: Where) -> tuple[MarketRule | None, list[ConfigFault]]:
    try:
        return MarketRule.model_validate(raw), []
    except ValidationError as error:
        return None, errors.validation_faults(error, MarketRule, where)


def _overlap(a: MarketRule, b: MarketRule) -> bool:
    return (b.to is None or a.from_ < b.to) and (a.to is None or b.from_ < a.to)
