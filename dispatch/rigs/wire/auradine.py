"""Auradine's Teraflux on the wire, both roles: reads of cgminer's API on TCP 4028, orders and more reads by HTTP on port 8080.

POST /token {"user", "password"} gives Token[0].Token; every other request carries it in the header Token. /mode: {"sleep": "on"},
{"sleep": "off"}, {"mode": "eco"}, "normal" or "turbo", {"mode": "custom", "tune": "power", "power": WATTS}. /psu: PSU[0].PowerIn "58.94W".
Source: the maker's API as pyasic and asic-rs speak it; checked against both in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure

PORT = 8080
USER = "admin"
# What the maker calls the modes of a group.
MODES = {"low": "eco", "normal": "normal", "high": "turbo"}


def token(document: Mapping[str, Any]) -> str:
    """Client: the token of an answer to /token. Raises WireError when there is none: the password is wrong."""
    try:
        return str(document["Token"][0]["Token"])
    except (LookupError, TypeError):
        raise WireError("no token") from None


def watts(psu: Mapping[str, Any]) -> float:
    """Client: wall watts of /psu. Raises WireError."""
    try:
        return figure(psu["PSU"][0]["PowerIn"], "W")
    except (LookupError, TypeError):
        raise WireError("no watts in this answer") from None


def ths(summary: Mapping[str, Any]) -> float:
    """Client: TH/s of a `summary`. Raises WireError."""
    try:
        return figure(summary["SUMMARY"][0]["MHS 5s"]) / 1e6
    except (LookupError, TypeError):
        raise WireError("no hashrate in this summary") from None
