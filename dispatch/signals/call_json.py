"""A call as the API and the event packets show it: its JSON document, and its demand in words."""

from __future__ import annotations

from typing import Any

from markets.facts import Call
from markets.grid import format_instant


def call_document(call: Call) -> dict[str, Any]:
    """The call as JSON values; instants are ISO 8601 in UTC, `end_at` is null until the call is recalled."""
    return {
        "id": call.id,
        "version": call.version,
        "obligation": call.obligation,
        "kind": call.kind.value,
        "mw_cap": call.mw_cap,
        "mw_delta": call.mw_delta,
        "mw_target": call.mw_target,
        "notice_at": format_instant(call.notice_at),
        "start_at": format_instant(call.start_at),
        "end_at": format_instant(call.end_at) if call.end_at else None,
        "source": call.source,
        "authority": call.authority,
        "known_at": format_instant(call.known_at),
    }


def demand_text(call: Call) -> str:
    """What the call demands, as the tail of a sentence: ": at most 4 MW"; empty for a recall or a cancellation."""
    if call.mw_cap is not None:
        return f": at most {call.mw_cap:g} MW"
    if call.mw_target is not None:
        return f": exactly {call.mw_target:g} MW"
    return f": {abs(call.mw_delta):g} MW less" if call.mw_delta is not None else ""
