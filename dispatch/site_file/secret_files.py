"""Files of secrets that a site file refers to (`file:PATH`), and those that every user of the machine may read."""

from __future__ import annotations

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


def exposed_secrets(setup: Setup) -> Iterator[str]:
    """A sentence for each such file of a site."""
    for name in sorted(set(_files(setup.document))):
        path = setup.resolve(name)
        if path.is_file() and exposed(path):
            yield f"{name} can be read by every user of this machine: chmod 600 it, or seal it with `loadstone keys seal`"


def _files(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("file:"):
        yield value.removeprefix("file:")
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _files(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _files(item)
