"""Every citation leads somewhere inside this repository: pages and their sections, paths, dotted names; in code, tests, docs and config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module

from tests.docs.pages import DOCS, ROOT
from tests.docs.test_docs import headings
from tests.docs.tree import text_files

# A page of docs/, with a section or without, wherever it is named.
PAGE = re.compile(r"\bdocs/([\w./-]+\.md)(#[\w-]+)?")
# A path of the repository between backticks.
PATH = re.compile(r"`((?:markets|optimizer|dispatch|tests|config|bench|docs|requirements|\.ci)/[\w./-]*)`")
# A module, or something in one, between backticks.
NAME = re.compile(r"`((?:markets|optimizer|dispatch|tests|bench)(?:\.\w+)+)(?:\([^`]*\))?`")
# An ending of a file or a group of entry points, which NAME takes for a module.
GROUPS = {
    "markets.sources", "markets.hashprices", "markets.generation", "markets.weather", "optimizer.obligations", "dispatch.rigs",
    "dispatch.meters", "dispatch.cooling", "dispatch.generators",
}  # fmt: skip

# Where a wheel keeps `config/`; no folder of the repository.
BUILT = "dispatch/defaults/"

# Design documents that the repository does not hold.
OUTSIDE = re.compile(
    r"\b(?:ARCHITECTURE|CONTRACT|RULES|OPTIMIZER|OPERATIONS|MARKETS|RIGS|PEERS|STYLE|MOVES|NAMES)"
    r"(?:\.md\b|,? (?:section|Appendix|§|EX-)|,? `|[ ,]+\d|, (?:bench|Strategies|archive import)\b)"
    r"|\bshared/(?:design|reference|data)\b|\b(?:PLAN|commands|words|names) of the contract\b"
)


def checked() -> Iterator[tuple[str, str]]:
    return ((file, text) for file, text in text_files().items() if file != "tests/docs/test_citations.py")


@cache
def sections(page: str) -> set[str]:
    return headings((DOCS / page).read_text("utf-8"))


def test_every_page_that_is_cited_exists() -> None:
    lost = []
    for file, text in checked():
        for page, anchor in PAGE.findall(text):
            if "NNNN" not in page and (not (DOCS / page).is_file() or (anchor and anchor[1:] not in sections(page))):
                lost.append(f"{file}: docs/{page}{anchor}")
    assert lost == []


def test_every_path_that_is_cited_exists() -> None:
    assert [
        f"{file}: {path}" for file, text in checked() for path in PATH.findall(text) if not (ROOT / path).exists() and path != BUILT
    ] == []


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            found = getattr(found, part, None)  # type: ignore[assignment]
            if found is None:
                return False
        return True
    return False


def test_every_dotted_name_that_is_cited_exists() -> None:
    named = {(file, name) for file, text in checked() if file.endswith((".md", ".py")) for name in NAME.findall(text)}
    assert sorted(f"{file}: {name}" for file, name in named if name not in GROUPS and not exists(name)) == []


def test_nothing_outside_the_repository_is_cited() -> None:
    assert [f"{file}: {found[0]}" for file, text in checked() if (found := OUTSIDE.search(text))] == []


def test_worked_examples_that_are_cited_are_on_the_page_of_rules() -> None:
    known = set(re.findall(r"^\| (EX-\w+) \|", (DOCS / "rules.md").read_text("utf-8"), re.M))
    named = {(file, example) for file, text in checked() for example in re.findall(r"\bEX-(?:\d+|[A-Z]+)", text)}
    assert sorted(f"{file}: {example}" for file, example in named if example not in known) == []


def test_every_section_of_the_rules_is_cited_by_code() -> None:
    code = [text for file, text in checked() if file.endswith((".py", ".toml"))]
    cited = {anchor[1:] for text in code for page, anchor in PAGE.findall(text) if page == "rules.md"}
    assert sections("rules.md") - cited - {"market-rules", "worked-examples"} == set()
