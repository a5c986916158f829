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


def profiles(document: Mapping[str, Any]) -> dict[str, float]:
    """Client: the watts of every profile of an answer to `profiles`, by name, rising. Raises WireError when there is none."""
    try:
        found = {str(row["Profile Name"]): figure(row["Watts"]) for row in document["PROFILES"]}
    except (LookupError, TypeError):
        found = {}
    if not found:
        raise WireError("no profiles in this answer")
    return dict(sorted(found.items(), key=lambda row: row[1]))


def figures(document: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of joined `summary` and `power`. Raises WireError when either is missing."""
    try:
        watts = document["power"][0]["POWER"][0]["Watts"]
        ghs = document["summary"][0]["SUMMARY"][0]["GHS 5s"]
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this answer") from None
    return figure(watts), figure(ghs) / 1e3
