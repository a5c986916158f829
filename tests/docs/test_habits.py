"""What CONTRIBUTING, CHANGELOG and the hooks say is what the repository does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from tests.__main__ import CHECKS
from tests.docs.pages import DOCS, ROOT


def test_the_hooks_are_the_checks_of_the_suite() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    hooks = {hook["name"]: hook["entry"].removeprefix(".venv/bin/").split() for hook in repo["hooks"]}
    checks = {name: [Path(command[0]).name, *(word for word in command[1:] if word != ".")] for name, command in CHECKS}
    assert hooks == checks


def test_the_changelog_begins_with_this_version_and_names_every_note() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.findall(r"^## (.*)$", text, re.M)[0] == version
    assert [note.name for note in (DOCS / "changes").glob("0*.md") if f"docs/changes/{note.name}" not in text] == []


def test_the_indexes_name_every_note_and_decision_by_its_title() -> None:
    for folder in ("changes", "decisions"):
        index = (DOCS / folder / "README.md").read_text("utf-8")
        for page in (DOCS / folder).glob("0*.md"):
            title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
            assert title.startswith(f"{page.name[:4]} ")
            assert page.name in index and title.removeprefix(page.name[:4]).strip() in index
