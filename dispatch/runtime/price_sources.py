"""The sources of prices, hashprice, generation and weather that a site file names."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from dispatch.runtime.polling import PolledSource
from dispatch.site_file.setup import Setup


def polled_sources(setup: Setup, now: Callable[[], datetime]) -> list[PolledSource]:
    """The sources of prices, hashprice, generation and weather. One on a network is asked in the background, any other at each tick."""
    named = [s for s in (setup.prices, setup.hash, setup.generation, setup.weather) if s is not None]
    wakes, runs = (setup.prices, setup.hash), setup.prices.runs_opened(setup, now)
    polled = [PolledSource(s.opened(setup, now), s.period_s, in_background=s.live, wakes_loop=s in wakes) for s in named]
    return polled if runs is None else [*polled, PolledSource(runs, setup.prices.period_s, in_background=True)]


def simulated_market(setup: Setup) -> bool:
    """Whether prices come from an archive or a formula, so that time may run at any speed."""
    return not setup.prices.live


def archived(config: Path, archive: Path) -> dict[str, Any]:
    """The site-file sections that put an archive in place of the price source, unless that is a tariff, of the hashprice where that is an
    archive too, and of the weather where there is one."""
    override: dict[str, Any] = {"prices": {"source": "archive", "path": str(archive.resolve())}}
    try:
        document = tomllib.loads(config.read_text("utf-8"))
    except (OSError, ValueError):
        return override  # loading the site file reports it
    hash_, prices = document.get("hash", {}), document.get("prices")
    if isinstance(prices, dict) and prices.get("source") == "tariff":
        override = {}
    if isinstance(hash_, dict) and hash_.get("source") == "archive":
        override["hash"] = {**hash_, "path": str(archive.resolve())}
    if isinstance(document.get("weather"), dict):
        override["weather"] = {"source": "archive", "path": str(archive.resolve())}
    return override
