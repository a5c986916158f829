"""Contracts under the shipped dated rules, for tests that build them by hand."""

from __future__ import annotations

from typing import TypeVar

from dispatch.site_file import market_rules
from dispatch.site_file.defaults import default_file
from optimizer.domain.contract import Contract
from optimizer.domain.market_rules import Dated

C = TypeVar("C", bound=Contract)
SHIPPED = market_rules.read_market_rules(default_file("programs.toml"))


def with_market_rules(contract: C, **other: float | str) -> C:
    """The contract under the shipped rules; `other` puts a value in place of a rule's, dots written as double underscores."""
    changed = {k.replace("__", "."): v for k, v in other.items()}
    dated = [Dated(d.id, changed.get(d.id, d.value), d.from_, d.to, d.cited) for d in SHIPPED.dated()]
    return contract.with_rules(dated)
