"""The pages name every command, option, plug-in and value, and what they show is valid: links, commands, code, documents."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from typer.main import get_command

from dispatch.cli import app
from dispatch.entries import ENTRY_KINDS
from dispatch.rigs import Outcome
from dispatch.signals.documents import parse_call
from dispatch.sim.spec import RigFault
from dispatch.site_file import plugins
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import ledger as tables
from dispatch.store.tables import ledger_file, open_ledger
from dispatch.web.app import ROUTERS
from markets.facts import FACT_KINDS
from markets.outlook import PriceBasis
from tests.dispatch.store.entries import held, priced
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, page, run_block, slug

AT = datetime(2026, 8, 20, 16, tzinfo=UTC)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)
ROUTES = {route.path for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)}


def headings(text: str) -> set[str]:
    return {slug(found) for found in HEADING.findall(text)}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), target
        assert not anchor or anchor in headings(there.read_text("utf-8")), target


def test_every_page_can_be_reached() -> None:
    reached, waits = set(), [ROOT / "README.md", DOCS / "README.md"]
    while waits:
        here = waits.pop()
        if here in reached or here.suffix != ".md":
            continue
        reached.add(here)
        names = [target.partition("#")[0] for target in LINK.findall(here.read_text("utf-8")) if "://" not in target]
        waits += [(here.parent / name).resolve() for name in names if name]
    assert set(PAGES) <= reached


# commands


def commands(group: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in (group or get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")} - {"--help"}


def section(text: str, heading: str) -> str:
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, f"there is no heading {heading!r}"
    return rest.partition("\n## ")[0]


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda part: part if isinstance(part, str) else "")
def test_every_command_and_option_is_on_its_page(name: str, command: Any) -> None:
    said = set(re.findall(r"--[a-z][a-z-]*", section(page("reference/commands.md"), name)))
    assert said == options(command)
    assert command.help


def test_the_page_of_commands_names_no_other_command() -> None:
    assert set(re.findall(r"^## (.*)$", page("reference/commands.md"), re.M)) == {name for name, _ in commands()}


# names


@pytest.mark.parametrize(
    ("group", "where", "mark"),
    [
        (plugins.OBLIGATIONS, "reference/obligations.md", "## {}\n"),
        (plugins.SOURCES, "reference/markets.md", "### `{}`\n"),
        (plugins.HASHPRICES, "reference/markets.md", "### `{}`\n"),
        (plugins.DRIVERS, "reference/rigs.md", "### `{}`\n"),
    ],
)
def test_every_built_in_has_a_heading(group: str, where: str, mark: str) -> None:
    assert [word for word in plugins.installed(group) if f"\n{mark.format(word)}" not in page(where)] == []


@pytest.mark.parametrize("word", [*plugins.installed(plugins.OBLIGATIONS)])
def test_every_option_of_an_obligation_is_named(word: str) -> None:
    fields = plugins.installed(plugins.OBLIGATIONS)[word].model_fields
    names = {field.alias or name for name, field in fields.items()} - {"name", "scope", "rule"}
    said = section(page("reference/obligations.md"), word)
    assert [name for name in names if f"`{name}`" not in said] == []


@pytest.mark.parametrize(
    ("names", "where"),
    [
        (FACT_KINDS, "reference/markets.md"),
        (list(PriceBasis), "reference/markets.md"),
        (ENTRY_KINDS, "reference/journal.md"),
        (set(tables.tables), "reference/journal.md"),
        (list(Outcome), "reference/rigs.md"),
        (list(RigFault), "reference/rigs.md"),
    ],
    ids=["facts", "price bases", "entries", "tables", "outcomes", "faults"],
)
def test_every_value_in_documents_is_explained(names: Any, where: str) -> None:
    assert [str(name) for name in names if f"`{name}`" not in page(where)] == []


# blocks


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_block_is_valid_for_its_kind(path: Path) -> None:
    for kind, body in blocks(path):
        if kind == "toml":
            tomllib.loads(body)
        elif kind == "json":
            json.loads(body)
        elif kind == "python":
            compile(body, path.name, "exec")
        elif kind == "sh":
            for line in body.strip().splitlines():
                typed(line)
        else:
            assert kind == "text", f"a block of {kind!r} is neither checked nor a drawing"


def typed(line: str) -> None:
    """Check a line of a terminal: a command with options that exist, or a request to a route that exists."""
    words = shlex.split(line, comments=True)
    if words[0] == "curl":
        path = re.search(r"http://127\.0\.0\.1:8787(/[^'\s?]*)", line)
        assert path and path[1] in ROUTES, line
        return
    assert words[0] == "./loadstone", line
    command, rest = get_command(app), words[1:]
    if rest[0] == "test":
        return
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("loadstone", rest)


def test_the_calls_of_the_tutorial_are_valid() -> None:
    book = load_site_file(default_file(DEMO_SITE)).book
    found = [json.loads(body) for kind, body in blocks(DOCS / "tutorial.md") if kind == "json"]
    assert [parse_call(call, book, AT).kind for call in found] == ["deploy", "recall"]


def test_the_code_on_the_journal_page_checks_a_chain(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    token = lease.take(engine, "here", 60.0)
    journal = SqlJournal(engine, token)
    for entry in (held(1), priced(31.2), held(2)):
        journal.append(entry)
    (code,) = [body for kind, body in blocks(DOCS / "reference" / "journal.md") if kind == "python"]
    head = run_block(code, "journal_page").head
    assert head(str(ledger_file(tmp_path))) == journal.head
    engine.dispose()
    with sqlite3.connect(ledger_file(tmp_path)) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("UPDATE journal SET document = replace(document, ':', ': ') WHERE seq = 2")
    with pytest.raises(ValueError, match="row 2 does not hold"):
        head(str(ledger_file(tmp_path)))
