"""docs/rules.md holds every dated rule of config/programs.toml, as it stands there."""

from __future__ import annotations

from dispatch.site_file.market_rules import default_market_rules
from tests.docs import generated, rules
from tests.docs.pages import page


def test_the_tables_are_those_of_the_file() -> None:
    assert not generated.stale(rules.PAGE, rules.parts()), "run `python -m tests.docs.rules`"


def test_every_rule_is_in_one_table() -> None:
    text, rules_of_the_file = page(rules.PAGE), default_market_rules().rules
    assert sum(text.count(f"| `{id_}` |") for id_ in {rule.id for rule in rules_of_the_file}) == len(rules_of_the_file)
