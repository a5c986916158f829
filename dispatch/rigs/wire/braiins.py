"""Braiins OS 25.07 and later on the wire, both roles: REST by HTTP on port 80.

POST /api/v1/auth/login {"username", "password"} gives {"token"}, which every other request carries in the header Authorization as it is.
PUT actions/pause and actions/resume put to sleep and wake, PUT performance/power-target {"watt"} sets what the tuner aims for. GET
miner/stats has power_stats.approximated_consumption.watt and miner_stats.real_hashrate.last_5s.gigahash_per_second, GET miner/details what
the rig is.
Source: Braiins, public REST API of 25.07 and the answers of an S19 XP captured by asic-rs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure, parse

PORT = 80
ROOT = "/api/v1/"
USER = "root"


def target(body: bytes) -> float:
    """Server: the watts of a power target. Raises WireError."""
    return figure(parse(body).get("watt"))


def figures(stats: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of miner/stats. Raises WireError when either is missing."""
    try:
        watts = stats["power_stats"]["approximated_consumption"]["watt"]
        ghs = stats["miner_stats"]["real_hashrate"]["last_5s"]["gigahash_per_second"]
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this answer") from None
    return figure(watts), figure(ghs) / 1e3
