"""ePIC's firmware on the wire, both roles: JSON by HTTP on port 4028, where other makes speak cgminer's API.

GET /summary has the boards' hashrates in MH/s (HBs[].Hashrate[0]), "Power Supply Stats"."Input Power" in W and "Status"."Operating State".
POST /miner {"param": "Stop" or "Autostart", "password"} puts to sleep and wakes; it is answered by {"result": true or false, "error"}.
Source: ePIC's API and the answers captured by asic-rs; checked against pyasic and asic-rs in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire import cgminer
from dispatch.rigs.wire.line import WireError, figure

PORT = cgminer.PORT
# Where its dashboard is.
PAGE_PORT = 80
SLEEP, WAKE = "Stop", "Autostart"
IDLE = "Idling"


def accepted(answer: Mapping[str, Any]) -> bool:
    """Client: whether an order was accepted."""
    return answer.get("result") is True


def figures(summary: Mapping[str, Any]) -> tuple[float, float, bool]:
    """Client: watts, TH/s, and whether the rig says it is idle, of a summary. Raises WireError when one is missing."""
    try:
        watts = figure(summary["Power Supply Stats"]["Input Power"])
        idle = summary["Status"]["Operating State"] == IDLE
        mhs = sum(figure(board["Hashrate"][0]) for board in summary["HBs"] or ())
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this summary") from None
    return watts, mhs / 1e6, idle
