"""Stock Antminers on the wire, both roles: reads of cgminer's API on TCP 4028, orders by HTTP on port 80 with digest authentication.

An order is the whole configuration, posted to set_miner_conf.cgi: "miner-mode" 0 normal, 1 sleep, 2 high, 3 low, and everything that
get_miner_conf.cgi reads, pools included. What is left out is lost: an order made without a good read wipes the rig's pools, so `ordered`
makes none. The answer of one that was taken is {"stats": "success", "code": "M000"}. There are no watts in any read.
Source: the makers' pages as pyasic and asic-rs speak to them; checked against both in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.rigs.wire.line import WireError, figure

PORT = 80
REALM = "antMiner Configuration"
USER = "root"
# What the pages call the modes of a group.
WORK_MODES = {"normal": 0, "sleep": 1, "high": 2, "low": 3}
READ_ONLY = "bitmain-work-mode"
POOL_KEYS = {"url", "user", "pass"}


def work_mode(conf: Mapping[str, Any]) -> int:
    """Client: the mode a configuration names. Raises WireError when it names none."""
    for key in ("miner-mode", READ_ONLY):
        if str(conf.get(key, "")).isdecimal():
            return int(conf[key])
    raise WireError("no work mode in this configuration")


def ordered(conf: Mapping[str, Any], mode: int) -> dict[str, Any]:
    """Client: a configuration as read, with another mode, ready to be posted. Raises WireError when it is no whole configuration with
    pools: posting that would wipe them."""
    work_mode(conf)
    pools = conf.get("pools")
    if not isinstance(pools, list) or not all(isinstance(p, Mapping) and p.keys() >= POOL_KEYS for p in pools):
        raise WireError("no pools in this configuration: it is not posted")
    if not any(p["url"] and p["user"] for p in pools):
        raise WireError("empty pools in this configuration: it is not posted")
    return {
        "bitmain-fan-ctrl": conf.get("bitmain-fan-ctrl", False),
        "bitmain-fan-pwm": conf.get("bitmain-fan-pwm", "100"),
        "freq-level": conf.get("freq-level", conf.get("bitmain-freq-level", "100")),
        "miner-mode": mode,
        "pools": pools,
    }


def accepted(answer: Mapping[str, Any]) -> bool:
    """Client: whether the rig says it took a configuration."""
    return answer.get("stats") == "success"


def ths(summary: Mapping[str, Any]) -> float:
    """Client: TH/s of a `summary`. Raises WireError."""
    try:
        return figure(summary["SUMMARY"][0]["GHS 5s"]) / 1e3
    except (LookupError, TypeError):
        raise WireError("no hashrate in this summary") from None
