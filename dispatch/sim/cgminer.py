"""Rows that the answers of several makes share. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatch.sim.rig import Condition

# What answers a read: the name of a table, its code and its rows.
Table = tuple[str, int, Any]
Read = Callable[[Condition], Table]


def pools(rig: Condition, first: int = 0) -> list[dict[str, Any]]:
    """The table POOLS; `first` is the number of the first one."""
    return [
        {
            "POOL": n + first, "URL": url, "User": user, "Status": "Alive" if rig.pools_alive else "Dead", "Priority": n, "Quota": 1,
            "Stratum Active": rig.pools_alive and n == 0, "Accepted": 0, "Rejected": 0, "Get Failures": 0, "Remote Failures": 0, "Stale": 0,
            "Discarded": 0,
        }
        for n, (url, user) in enumerate(rig.pools)
    ]  # fmt: skip


def rates(rate: float, unit: str, *spans: str) -> dict[str, float]:
    """A rate over spans, e.g. "MHS 5s"; `rate` is in that unit."""
    return {f"{unit} {span}": round(rate, 2) for span in spans}


def counts(rate: float, unit: str, *spans: str) -> dict[str, Any]:
    """A row of SUMMARY: rates and what was done with them."""
    return {"Elapsed": 3600, **rates(rate, unit, *spans), "Accepted": 0, "Rejected": 0, "Hardware Errors": 0, "Total MH": 0.0}
