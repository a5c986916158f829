"""Real series for tests that want them: never in the repository, so every such test skips with a reason where they are absent."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("LOADSTONE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real(name: str) -> Path:
    """The path of a real data file; skips the test when it is not on this machine."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"real data {name} is not here (set LOADSTONE_DATA to the folder that holds it)")
    return path
