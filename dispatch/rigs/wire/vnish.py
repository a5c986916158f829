"""VNish on the wire, both roles: REST by HTTP on port 80.

POST /api/v1/unlock {"pw"} gives {"token"}, which orders carry as a bearer. POST mining/stop and mining/start put to sleep and wake. GET
summary has miner.power_consumption in W, miner.hr_realtime in GH/s and miner.miner_status.miner_state; GET info says what the rig is.
Source: VNish's web API as pyasic and asic-rs speak it; checked against both in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure

PORT = 80
ROOT = "/api/v1/"
STOPPED = "stopped"


def figures(summary: Mapping[str, Any]) -> tuple[float, float, bool]:
    """Client: watts, TH/s, and whether the rig says it is stopped, of a summary. Raises WireError when one is missing."""
    try:
        row = summary["miner"]
        return figure(row["power_consumption"]), figure(row["hr_realtime"]) / 1e3, row["miner_status"]["miner_state"] == STOPPED
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this summary") from None
