"""Real market data imported into an archive, once for all tests of a process."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e.site import run_json
from tests.realdata import real

MAPS = Path(__file__).parents[1] / "maps"


def archive_of(folder: Path, *names: str) -> Path:
    """`folder`/archive holding the named real files, imported by the command a user types. `folder` is a test's `tmp_path`.

    Importing takes seconds, so the archive is made once beside the tests' folders and copied. Skips the test where a file is not here.
    """
    files = [real(name) for name in names]
    stems = [name.split(".")[0] for name in names]
    made = folder.parent / f"archive-of-{'+'.join(stems)}"
    if not made.exists():
        unfinished = folder / "unfinished"
        for file, stem in zip(files, stems, strict=True):
            run_json("archive", "import", file, "--archive", unfinished, "--map", MAPS / f"{stem}.toml")
        unfinished.rename(made)
    return Path(shutil.copytree(made, folder / "archive"))
