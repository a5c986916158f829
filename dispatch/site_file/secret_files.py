"""Secrets that a site file refers to (`file:PATH`, `env:NAME`): which of them are missing, and which every user of the machine may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dispatch.site_file.setup import Setup

# What an encrypted secret begins with.
SEALED = "loadstone-sealed:"


def exposed(path: Path) -> bool:
    """Whether a file is a secret in plain text that every user of the machine may read. Raises OSError."""
    return bool(path.stat().st_mode & stat.S_IROTH) and not path.read_text("utf-8", errors="replace").startswith(SEALED)


def secret_notes(setup: Setup) -> Iterator[str]:
    """A sentence for each secret of a site that every user of the machine may read, that is not there, or that this environment lacks."""
    for name in sorted(set(_references(setup.document, "file:"))):
        path = setup.resolve(name)
        if not path.is_file():
            yield f"there is no file {name} beside the site file: what it is the secret of will not work"
        elif exposed(path):
            yield f"{name} can be read by every user of this machine: chmod 600 it, or seal it with `loadstone keys seal`"
    for name in sorted(set(_references(setup.document, "env:"))):
        if not os.environ.get(name):
            yield f"the environment variable {name} is not set here: set it for `loadstone run`, or what it is the secret of will not work"


def _references(value: Any, kind: str) -> Iterator[str]:
    if isinstance(value, str) and value.startswith(kind):
        yield value.removeprefix(kind)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item, kind)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item, kind)
