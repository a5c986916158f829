"""Every text file of the repository, as the tests of words and citations read them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.pages import ROOT

SKIPPED = {"__pycache__", "build", "data", "dist", "node_modules"}
TEXT = {"", ".md", ".py", ".toml", ".txt", ".yml", ".yaml", ".html", ".css", ".js", ".json", ".csv", ".ini", ".mako"}


@cache
def text_files() -> dict[str, str]:
    """The text of each file by its path from the root, caches, locks and what a run leaves behind not counted."""
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in _walk()}


def _walk() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED and (not name.startswith(".") or name == ".ci")]
        folders[:] = [name for name in folders if not name.endswith(".egg-info") and not (Path(folder) == ROOT and name == "requirements")]
        for name in files:
            path = Path(folder) / name
            if path.suffix in TEXT and not name.startswith(".git") and path.name != "LICENSE":
                yield path
