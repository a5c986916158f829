"""Every ability is a protocol of one method with a default, and no caller looks at a contract's type or at names it may not have."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Protocol

import pytest

from optimizer.domain import obligation
from optimizer.domain.contract import Contract

ROOT = Path(__file__).parents[3]
CONTRACTS = ROOT / "optimizer" / "obligations"
CALLERS = [p for package in ("optimizer", "dispatch") for p in sorted((ROOT / package).rglob("*.py")) if CONTRACTS not in p.parents]
ABILITIES = [
    found
    for found in vars(obligation).values()
    if inspect.isclass(found)
    and Protocol in found.__bases__
    and found is not obligation.Obligation
    and found.__module__ == obligation.__name__
]
TYPES = {point.name: point for point in metadata.entry_points(group="optimizer.obligations")}
A_CONTRACT = {"o", "obligation", "contract"}


def methods(ability: type) -> list[str]:
    return [name for name, value in vars(ability).items() if inspect.isfunction(value) and not name.startswith("_")]


@pytest.mark.parametrize("ability", ABILITIES, ids=lambda ability: ability.__name__)
def test_an_ability_is_one_method_with_a_default(ability: type) -> None:
    (method,) = methods(ability)
    assert ability.__doc__ and "Default" in ability.__doc__, "the docstring says what a contract without the ability answers"
    assert method in vars(Contract), "the base class has the default"
    assert ability in obligation.Obligation.__mro__


def test_every_method_of_the_base_class_is_on_the_page() -> None:
    known = {name for ability in (*ABILITIES, obligation.Obligation) for name in vars(ability)}
    own = (name for name, value in vars(Contract).items() if inspect.isfunction(value))
    assert {name for name in own if not name.startswith(("_", "model_"))} <= known


@pytest.mark.parametrize("kind", TYPES)
def test_every_contract_type_has_every_ability(kind: str) -> None:
    assert issubclass(TYPES[kind].load(), Contract) and TYPES[kind].load().type == kind


def lookups(tree: ast.Module) -> Iterator[int]:
    """Lines that look for a name on a contract, or compare its type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr", "isinstance", "type"):
            looked_at = {n.id for n in ast.walk(node.args[0]) if isinstance(n, ast.Name)}
            if looked_at & A_CONTRACT:
                yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("optimizer.obligations."):
            yield node.lineno
        if isinstance(node, ast.Compare) and any(isinstance(n, ast.Attribute) and n.attr == "type" for n in (node.left, *node.comparators)):
            yield from (node.lineno for n in ast.walk(node) if isinstance(n, ast.Constant) and n.value in TYPES)


def type_lists(tree: ast.Module) -> Iterator[int]:
    """Lines of collections that hold two or more contract types."""
    for node in ast.walk(tree):
        items = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else node.keys if isinstance(node, ast.Dict) else ()
        if len({n.value for n in items if isinstance(n, ast.Constant) and n.value in TYPES}) > 1:
            yield node.lineno


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_caller_looks_at_what_kind_of_contract_it_has(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    assert [*lookups(tree), *type_lists(tree)] == []


def test_the_search_finds_lookups_and_lists() -> None:
    found = ast.parse(
        'getattr(o, "mw")\nhasattr(type(o), "x")\nif o.type == "ers": pass\nS = {"ers", "lmr"}\nfrom optimizer.obligations.ers import x\n'
    )
    assert len({*lookups(found), *type_lists(found)}) == 5
