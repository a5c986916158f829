"""LuxOS on the wire, both roles: cgminer's API on TCP 4028, with sessions for orders.

Orders want a session, and a rig has one at a time: `logon` gives SESSION[0].SessionID or fails while another is open, `session` names
the open one, `logoff,ID` ends it. `curtail,ID,sleep` and `curtail,ID,wakeup` put to sleep and wake; a sleep persists a restart.
`profiles` are steps of 25 MHz with their watts, `profileset,ID,NAME` chooses one, `power` tells the watts.
Source: Luxor, LuxOS API (docs.luxor.tech/firmware/api); checked against pyasic in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure

LOGON, POWER, CONFIG, CURTAIL, PROFILES = 316, 311, 33, 335, 327
SLEEP, WAKE = "sleep", "wakeup"
NO_SESSION = 402
READ = "summary+power"


def session(document: Mapping[str, Any]) -> str:
    """Client: the session an answer to `logon` or `session` names; empty when there is none."""
    try:
        return str(document["SESSION"][0]["SessionID"])
    except (LookupError, TypeError):
        return ""


def profile(document: Mapping[str, Any], watts: float) -> str:
    """Client: the highest profile of an answer to `profiles` that draws no more than `watts`, else the lowest. Raises WireError."""
    try:
        rows = sorted((figure(row["Watts"]), str(row["Profile Name"])) for row in document["PROFILES"])
    except (LookupError, TypeError):
        raise WireError("no profiles in this answer") from None
    if not rows:
        raise WireError("no profiles in this answer")
    return ([row for row in rows if row[0] <= watts] or rows[:1])[-1][1]


def figures(document: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of joined `summary` and `power`. Raises WireError when either is missing."""
    try:
        watts = document["power"][0]["POWER"][0]["Watts"]
        ghs = document["summary"][0]["SUMMARY"][0]["GHS 5s"]
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this answer") from None
    return figure(watts), figure(ghs) / 1e3
