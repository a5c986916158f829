"""The house rules that linters do not see: size, names, docstrings, fakes instead of patches, entry points."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("markets", "optimizer", "dispatch")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODULE_LINES, FUNCTION_LINES = 300, 40
BENCH_LINES = 350  # a script that stands alone may be a little longer

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, Function):
            assert node.end_lineno is not None
            yield f"{name_of(path)}:{node.name}", node.end_lineno - node.lineno + 1


def test_modules_are_short_enough() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n > MODULE_LINES} == {}
    assert median(lines.values()) <= 130


def test_benchmarks_are_one_script_each() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in (ROOT / "bench").glob("*.py")}
    assert {name: n for name, n in lines.items() if n > BENCH_LINES} == {}


def test_functions_are_short_enough() -> None:
    found = [(name, n) for path in MODULES for name, n in functions(path)]
    assert {name: n for name, n in found if n > FUNCTION_LINES} == {}
    assert median(n for _, n in found) <= 9


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_public_classes_have_docstrings(path: Path) -> None:
    assert ast.get_docstring(tree(path)), "a module without a docstring"
    public = [node for node in tree(path).body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    assert [node.name for node in public if not ast.get_docstring(node)] == []


def test_class_names_avoid_vague_words() -> None:
    empty = re.compile(r"Manager|Helper|Util|Service|Handler")
    classes = [(path, node.name) for path in MODULES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
    assert [f"{name_of(path)}: {name}" for path, name in classes if empty.search(name)] == []
    assert [name_of(path) for path in MODULES if path.stem in ("common", "utils", "util", "helpers", "misc", "base")] == []


def test_public_classes_have_names_of_their_own() -> None:
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name_of(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_packages_are_marked_as_typed() -> None:
    """Without `py.typed` (PEP 561) a type checker ignores the types of an installed package."""
    assert [package for package in PACKAGES if not (ROOT / package / "py.typed").is_file()] == []


def test_code_has_no_todo_marks() -> None:
    later = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    found = [name_of(path) for path in [*MODULES, *TESTS, *(ROOT / "bench").glob("*.py")] if later.search(path.read_text("utf-8"))]
    assert found == []


def test_tests_use_fakes_instead_of_patches() -> None:
    """The environment is the outside world and may be set; our own objects are never replaced behind their back."""
    found = []
    for path in TESTS:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                found += [f"{name_of(path)}:{node.lineno}" for name in names if name in ("unittest.mock", "mock", "pytest_mock")]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "monkeypatch":
                found += [] if node.attr in ("setenv", "delenv", "chdir") else [f"{name_of(path)}:{node.lineno}"]
    assert found == []


def test_money_in_sentences_is_written_by_one_function() -> None:
    """A dollar sign beside a value in an f-string is money formatted by hand; `usd_text` writes it the same everywhere. A unit such as
    "$/MWh" after a name is none."""
    by_hand = re.compile(r"""(?<!["'])\$\{|[0-9]f\} \$|\} \$(?!/)""")
    lines = [(path, n, line) for path in MODULES for n, line in enumerate(path.read_text("utf-8").splitlines(), 1)]
    found = [f"{name_of(path)}:{n}" for path, n, line in lines if by_hand.search(line) and name_of(path) != "markets/__init__.py"]
    assert found == []


def declared() -> list[tuple[str, str, str]]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    return [(group, word, target) for group, points in groups.items() for word, target in points.items()]


@pytest.mark.parametrize(("group", "word", "target"), declared(), ids=lambda part: part)
def test_an_entry_point_names_a_class_of_its_type(group: str, word: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    found = getattr(import_module(module), attribute)
    if group == "optimizer.obligations":
        assert found.type == word
        assert module.removesuffix(".contract").endswith(f".{word}")  # a contract of several files is a folder of its own
    else:
        assert found.model_fields["kind" if group.startswith("dispatch.") else "source"].default == word


def test_every_built_in_plug_in_has_an_entry_point() -> None:
    targets = {target for _, _, target in declared()}
    room = ROOT / "optimizer" / "obligations"
    written = {path.stem for path in room.glob("[a-z]*.py")} - {"contract"} | {path.parent.name for path in room.glob("*/contract.py")}
    modules = [target.partition(":")[0].removesuffix(".contract") for target in targets if target.startswith("optimizer.obligations.")]
    offered = {module.rpartition(".")[2] for module in modules}
    assert offered == written
    settings = tree(ROOT / "dispatch" / "site_file" / "sections.py")
    opens = {
        node.name
        for node in settings.body
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(part, ast.AnnAssign) and getattr(part.target, "id", "") in ("source", "kind") and part.value for part in node.body
        )
    }
    assert {t.partition(":")[2] for t in targets if t.startswith("dispatch.site_file.sections:")} == opens
