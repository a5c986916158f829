"""`python -m tests.docs.rooms`: who imports whom between the rooms of each package, written into docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path

from tests.docs.generated import write
from tests.docs.pages import ROOT

PAGE = "architecture.md"
PACKAGES = ("dispatch", "optimizer", "markets")
WIDTH = 15


def folders(package: str) -> set[str]:
    """Every folder of a package that holds something of ours, as a path below the package."""
    root = ROOT / package
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_dir() and path.name != "__pycache__" and any(p.is_file() and p.suffix != ".pyc" for p in path.iterdir())
    }


def layers(package: str) -> list[str]:
    """The rooms of a package, top layer first, as `.importlinter` orders them; rooms that do not exist are left out."""
    config = ConfigParser()
    config.read(ROOT / ".importlinter", "utf-8")
    (lines,) = [section["layers"] for section in config.values() if section.get("containers", "").strip() == package]
    names = [name.strip(" ()") for line in lines.split("\n") for name in line.split(":")]
    return [name for name in names if name and any((ROOT / package / found).exists() for found in (name, f"{name}.py"))]


def imported(package: str, room: str) -> set[str]:
    """The rooms below it that a room imports, type checking included."""
    base = ROOT / package / room
    files = base.rglob("*.py") if base.is_dir() else [base.with_suffix(".py")]
    found = {name for file in files for name in _imports(file, package)}
    rooms = layers(package)
    return found & set(rooms[rooms.index(room) + 1 :])


def _imports(file: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith(f"{package}."))


def picture(package: str) -> str:
    """One line a room: the rooms it imports directly, without those it reaches through another of them."""
    rooms = layers(package)
    direct = {room: imported(package, room) for room in rooms}
    reached = {room: _reached(room, direct) for room in rooms}
    lines = []
    for room in rooms:
        through = set().union(*(reached[other] for other in direct[room]))
        below = [other for other in rooms if other in direct[room] - through]
        lines.append(f"{room:<{WIDTH}}{'─▶ ' + ', '.join(below) if below else ''}".rstrip())
    return "\n".join([package, *(f"  {line}" for line in lines)])


def _reached(room: str, direct: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = set(direct[room])
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting |= direct[here]
    return seen


def parts() -> dict[str, str]:
    return {"rooms": f"```text\n{chr(10).join(picture(package) for package in PACKAGES)}\n```\n"}


if __name__ == "__main__":
    write(PAGE, parts())
