"""The pages build as a site, every link in them included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree

from tests.docs.pages import DOCS, ROOT


def test_the_pages_build_as_a_site(tmp_path: Path) -> None:
    settings = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert "plugins: []" in settings
    (tmp_path / "mkdocs.yml").write_text(settings.replace("site_dir: build/site", "site_dir: site"), "utf-8")
    copytree(DOCS, tmp_path / "docs")
    command = [Path(sys.executable).parent / "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.relative_to(tmp_path / "site").with_suffix(".md") for path in (tmp_path / "site").rglob("*.html")}
    named = {path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    assert {path.with_name("index.md") if path.name == "README.md" else path for path in named} <= built
