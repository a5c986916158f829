"""Hostile inputs to every parser, a twentieth of the million that `python -m tests.hostile` gives them."""

from __future__ import annotations

import pytest

from tests.hostile import INPUTS, LEAST, Parser, parsers, tried


def test_a_million_inputs_are_at_least_fifty_thousand_each() -> None:
    assert INPUTS / len(parsers()) >= LEAST


@pytest.mark.parametrize("parser", parsers(), ids=lambda parser: parser.name)
def test_hostile_inputs_are_read_or_refused_in_words(parser: Parser) -> None:
    assert tried(parser, LEAST // 20, seed=1) == []
