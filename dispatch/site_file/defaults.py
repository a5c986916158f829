"""The files that come with the distribution: shipped sites, the catalogue of rigs, the market rules."""

from __future__ import annotations

from pathlib import Path

DEMO_SITE = "demo-site.toml"


def default_file(name: str) -> Path:
    """A shipped default: from the source tree's `config/`, or from the wheel, where the same files lie in `dispatch/defaults/`."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here.parent / "config", here / "defaults"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"the default {name} was not installed")
