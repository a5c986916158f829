"""ERCOT's dashboard of system-wide prices, one small document with today's real-time and day-ahead prices of all hubs and load zones."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import httpx

from markets import Refused, Unreachable

URL = "https://www.ercot.com/api/1/services/read/dashboards/system-wide-prices.json"
SOURCE = "ercot-dashboard"
POINTS = frozenset(
    {f"HB_{hub}" for hub in ("BUSAVG", "HUBAVG", "HOUSTON", "NORTH", "PAN", "SOUTH", "WEST")}
    | {f"LZ_{zone}" for zone in ("AEN", "CPS", "HOUSTON", "LCRA", "NORTH", "RAYBN", "SOUTH", "WEST")}
)
_CONNECT_S, _TOTAL_S = 2.0, 10.0


class Tables(NamedTuple):
    """Rows [start_s, end_s, point, usd_per_mwh] of the real-time (15 min) and the day-ahead (hourly) table, not yet checked."""

    real_time: list[list[Any]]
    day_ahead: list[list[Any]]


async def read(client: httpx.AsyncClient, url: str = URL) -> Tables:
    """The dashboard's two tables. Raises Unreachable within ten seconds, Refused when the document has another shape."""
    try:
        async with asyncio.timeout(_TOTAL_S):
            reply = await client.get(url, timeout=httpx.Timeout(_TOTAL_S, connect=_CONNECT_S))
            reply.raise_for_status()
            document = reply.json()
    except (httpx.HTTPError, TimeoutError, ValueError) as fault:
        # A maintenance page is HTML with status 200: ValueError, not its document.
        raise Unreachable(f"{SOURCE}: {type(fault).__name__} {fault}"[:300]) from None
    return parse(document)


def parse(document: Any) -> Tables:
    """Rows of the document. `interval` is the interval's END in epoch milliseconds: daylight saving cannot make it ambiguous. Raises
    Refused."""
    try:
        return Tables(_rows(document["rtSppData"], 900), _rows(document["damSppData"], 3600))
    except (KeyError, TypeError, ValueError) as fault:
        raise Refused(f"{SOURCE}: the document has another shape ({type(fault).__name__}: {fault})"[:300]) from None


def _rows(table: list[dict[str, Any]], length_s: int) -> list[list[Any]]:
    rows = []
    for entry in table:
        end_s = int(entry["interval"]) // 1000
        prices = {f"{key[:2]}_{key[2:]}".upper(): value for key, value in entry.items() if key[:2] in ("hb", "lz")}
        rows += [[end_s - length_s, end_s, point, value] for point, value in prices.items()]
    return rows
