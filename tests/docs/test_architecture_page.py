"""docs/architecture.md names every folder of the three packages and nothing else, and its picture is the one the imports draw."""

from __future__ import annotations

import re

import pytest

from tests.docs import generated, rooms
from tests.docs.pages import page
from tests.docs.test_docs import section


def named(package: str) -> set[str]:
    """The folders that the package's table of rooms names, as paths below the package."""
    _, found, rest = section(page("architecture.md"), "Rooms").partition(f"\n### {package}\n")
    assert found, f"no table of {package}"
    return {name.rstrip("/") for name in re.findall(r"`([\w/]+/)`", rest.partition("\n### ")[0])}


@pytest.mark.parametrize("package", rooms.PACKAGES)
def test_every_folder_is_named_and_nothing_else(package: str) -> None:
    assert named(package) == rooms.folders(package)


@pytest.mark.parametrize("package", rooms.PACKAGES)
def test_the_table_is_in_the_order_of_the_layers(package: str) -> None:
    _, _, rest = section(page("architecture.md"), "Rooms").partition(f"\n### {package}\n")
    first = [re.findall(r"`(\w+)/`", line) for line in rest.partition("\n### ")[0].splitlines() if line.startswith("| `")]
    tops = [names[0] for names in first if names]
    assert tops == [room for room in rooms.layers(package) if room in tops]


def test_the_picture_is_drawn_from_the_imports() -> None:
    assert not generated.stale(rooms.PAGE, rooms.parts()), "run `python -m tests.docs.rooms`"
