"""What a result that is kept was made by: when any of it changes, the same inputs may give another result, and it is made again."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import optimizer
from dispatch.site_file.setup import Setup

# A package and a file or folder in it, as a path; "" is all of it.
Source = tuple[ModuleType, str]


def made_by(setup: Setup, sources: Iterable[Source]) -> str:
    """SHA-256, hex, of parts of this program's source, of the source of contracts that plug-ins bring, and of the market rules."""
    modules = {contract.__class__.__module__ for contract in setup.book}
    plugins = sorted(name for name in modules if name.partition(".")[0] != optimizer.__name__)
    files = [file for name in plugins if (file := getattr(sys.modules.get(name), "__file__", None))]
    parts = [_source_digest(tuple(sources)), repr(setup.rules), *(sha256(Path(file).read_bytes()).hexdigest() for file in files)]
    return sha256("\n".join(parts).encode()).hexdigest()


@cache
def _source_digest(sources: tuple[Source, ...]) -> str:
    digest = sha256(sys.version.encode())
    for package, part in sources:
        root = Path(str(package.__file__)).parent
        below = root / part
        for file in [below] if below.is_file() else sorted(below.rglob("*.py")):
            digest.update(f"{package.__name__}/{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()
