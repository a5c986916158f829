"""Block's Proto rig on the wire, both roles: REST by HTTP on port 80, MDK API 1.8.

POST /api/v1/auth/login {"password"} gives an access token, sent as a bearer. POST /api/v1/mining/stop and /start put to sleep and wake,
PUT /api/v1/mining/target {"power_target_watts", "performance_mode"} sets a power target. GET /api/v1/mining tells status, watts and GH/s;
/api/v1/telemetry the same by board. Source: Block, MDK API 1.8.2, as asic-rs speaks it; checked against it in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure, parse

PORT = 80
ROOT = "/api/v1/"


def bearer(headers: Mapping[str, str]) -> str:
    """Server: the token a request carries; empty when it carries none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def target(body: bytes) -> float:
    """Server: the watts of a power target. Raises WireError."""
    return figure(parse(body).get("power_target_watts"))


def figures(mining: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of /api/v1/mining. Raises WireError when either is missing."""
    try:
        row = mining["mining-status"]
        return figure(row["power_usage_watts"]), figure(row["hashrate_ghs"]) / 1e3
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this answer") from None
