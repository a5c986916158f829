"""The pages and their blocks, as the tests of them read them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def page(name: str) -> str:
    return "\n" + (DOCS / name).read_text("utf-8")


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Kind and body of every fenced block, in order."""
    return ((found[1], found[2]) for found in BLOCK.finditer(path.read_text("utf-8")))


def slug(heading: str) -> str:
    """A heading's anchor, as renderers of Markdown make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def run_block(code: str, name: str, **known: object) -> ModuleType:
    """A block as a module of its own, with the names that blocks before it left."""
    module = ModuleType(name)
    module.__dict__.update(known)
    sys.modules[name] = module
    exec(compile(code, name, "exec"), module.__dict__)
    return module
