"""Words that gave way to plain ones do not come back: names in code, keys in JSON and pages, sentences to people.

`docs/changes/0014-plain-words-and-clear-rooms.md` says what each became.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.tree import text_files

# The files that may name a word that is gone: this list, and the note and the history that announce the change.
EXCEPT = {"tests/docs/test_words.py", "docs/changes/0014-plain-words-and-clear-rooms.md", "CHANGELOG.md"}


def listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Definitions only: many of these are English words that a sentence may need.
CLASSES = listed(
    """Its Eyes Looker Hands Crew Watched Told Errand Absurd Desk At Yard Panel Look Paper Otherwise Earlier
    Fault Faults Held Rung Offered Score Ground"""
)
FUNCTIONS = listed("standing whole shaped takeovers takes_energy told see hurry taken beside spoken")
MODULES = listed(
    """eyes hands crew errand looks yard panel paper desk points rung story words spoken standing score ground like otherwise earlier
    whole gaps shaping steps moves margins picking chance ruled accountant_of_contracts accountant_of_services accountant_of_a_day"""
)

# Nobody writes these but as a name, so they are looked for in every file.
NAMES = listed("rung rung_why troubles happenings roused takeovers takes_energy COUNTED_USD ABOVE_MW")

# Keys of JSON documents and values of journal fields: never a string of their own.
KEYS = listed("rung rung_why troubles standing gap wrong person happenings lying")

SENTENCES = (
    "same eyes",
    "paper hands",
    "World seconds a wall second",
    "ceases to open",
    "Days it speaks of settle",
    "would settle what is made there",
    "says what it is made by",
    "is no day that anybody bills",
    "was never made",
    "the other side did not take it",
    "nobody leads the site",
    "no trouble any more",
    "gave trouble at",
    "commands to single rigs did not take",
    "the plan is made with zero",
    "waking for so short is not worth it",
    "said yes, told",
    "Who is ill with what",
    "of the way there",
    "A word in the morning",
    "What went wrong",
    "What needs a person",
)


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(text) for name, text in text_files().items() if name.endswith(".py") and name not in EXCEPT}


@cache
def defined() -> dict[str, set[str]]:
    """The files that define a class or function, by its name."""
    found: dict[str, set[str]] = {}
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, set()).add(file)
    return found


@cache
def strings() -> dict[str, set[str]]:
    """The files that hold a string, by its value; neighbouring literals in Python are one string."""
    found: dict[str, set[str]] = {}
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, set()).add(file)
    return found


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Files and strings with every run of white space as one space, so that a line break hides nothing."""
    files = [(file, text) for file, text in text_files().items() if file not in EXCEPT]
    long = [(file, value) for value, where in strings().items() if " " in value for file in where]
    return tuple((file, " ".join(text.split())) for file, text in [*files, *long])


@pytest.mark.parametrize("word", [*CLASSES, *FUNCTIONS])
def test_no_class_or_function_has_the_name(word: str) -> None:
    assert defined().get(word, set()) == set()


def test_no_module_has_the_name() -> None:
    assert [file for file in trees() if file.rpartition("/")[2].removesuffix(".py") in MODULES] == []


@pytest.mark.parametrize("word", NAMES)
def test_the_name_is_in_no_file(word: str) -> None:
    pattern = re.compile(rf"\b{word}\b")
    assert sorted({file for file, text in text_files().items() if file not in EXCEPT and word in text and pattern.search(text)}) == []


@pytest.mark.parametrize("word", KEYS)
def test_the_key_is_in_no_document(word: str) -> None:
    pages = {file for file, text in text_files().items() if file.endswith(".md") and file not in EXCEPT and f"`{word}`" in text}
    code = {file for file in strings().get(word, set()) if not file.startswith("tests/")}
    assert sorted(code | pages) == []


@pytest.mark.parametrize("words", SENTENCES)
def test_the_sentence_is_in_no_file(words: str) -> None:
    assert sorted({file for file, text in texts() if words in text}) == []
