"""Real market data for tests. It is never in the repository, so a test that needs it is skipped with a reason where it is absent."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("LOADSTONE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real(name: str) -> Path:
    """The path of a real data file. Without it the test is skipped, but in CI, where the folder of real data is there, it fails."""
    path = FOLDER / name
    if not path.exists():
        if os.environ.get("CI") == "true" and FOLDER.exists():
            pytest.fail(f"{path} is missing: in CI a test of real data may not be skipped")
        pytest.skip(f"real data {name} is not here (set LOADSTONE_DATA to the folder that holds it)")
    return path
