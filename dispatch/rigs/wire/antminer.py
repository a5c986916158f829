"""Stock Antminers on the wire, both roles: reads of cgminer's API on TCP 4028, orders by HTTP on port 80 with digest authentication.

An order is the whole configuration, posted to set_miner_conf.cgi: "miner-mode" 0 normal, 1 sleep, 2 high, 3 low, and everything that
get_miner_conf.cgi reads, pools included. What is left out is lost: an order made without a good read wipes the rig's pools, so `ordered`
makes none. The answer of one that was accepted is {"stats": "success", "code": "M000"}. Newer firmware reports its watts in `stats`, as
"chain_power": "3250 W"; some models call it "power" or "watt". Older firmware reports none, and firmware asleep reports 0.
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


def ordered(conf: Mapping[str, Any], mode: int | str) -> dict[str, Any]:
    """Client: a configuration as read, with another mode, ready to be posted; some firmware accepts the mode as text only. Raises WireError
    when it is no complete configuration with pools: posting that would wipe them."""
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
    """Client: whether the rig says it accepted a configuration."""
    return answer.get("stats") == "success" or answer.get("success") is True


def figures(stats: Mapping[str, Any]) -> tuple[float | None, float]:
    """Client: wall watts, None where the firmware reports none, and TH/s of a `stats`. Raises WireError without a hashrate."""
    try:
        row = next(row for row in stats["STATS"] if "GHS 5s" in row)
        watts = next((row[key] for key in ("chain_power", "power", "Power", "watt") if key in row), None)
        return None if watts in (None, "") else figure(watts, "W"), figure(row["GHS 5s"]) / 1e3
    except (LookupError, TypeError, StopIteration):
        raise WireError("no hashrate in these stats") from None
