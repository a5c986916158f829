"""The sources a site file asks for, each with how often it is asked."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from dispatch.runtime.observer import PolledSource
from dispatch.site_file.setup import Setup


def watched(setup: Setup, now: Callable[[], datetime]) -> list[PolledSource]:
    """Prices and hashprice. A source that answers out of a file or a formula is asked at each look, one on a network beside the loop."""
    return [PolledSource(s.opened(setup, now), s.period_s, beside=s.live) for s in (setup.prices, setup.hash)]


def simulated_market(setup: Setup) -> bool:
    """Whether prices come out of an archive or a formula, so that time may run as one likes."""
    return not setup.prices.live


def archived(config: Path, archive: Path) -> dict[str, Any]:
    """The sections that put an archive in place of the file's price source, unless that is a tariff, and of its hashprice where that is an
    archive too."""
    override: dict[str, Any] = {"prices": {"source": "archive", "path": str(archive.resolve())}}
    try:
        document = tomllib.loads(config.read_text("utf-8"))
    except (OSError, ValueError):
        return override  # config.load says it better
    hash_, prices = document.get("hash", {}), document.get("prices")
    if isinstance(prices, dict) and prices.get("source") == "tariff":
        override = {}
    if isinstance(hash_, dict) and hash_.get("source") == "archive":
        override["hash"] = {**hash_, "path": str(archive.resolve())}
    return override
