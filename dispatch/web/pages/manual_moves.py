"""The texts of stop and hold on the first page: what is in force, what waits for a second person, and who may order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dispatch.clock import wall_now
from dispatch.decide.reflex import STOP_ID
from dispatch.entries import Hold
from dispatch.signals.hold_proposals import HoldProposal, proposals
from dispatch.store.stop_file import StopFile
from dispatch.web.auth import allows
from dispatch.web.context import ApiContext
from dispatch.web.known_keys import Key
from dispatch.web.move_routes import MOST_HOURS
from dispatch.web.move_sentences import market_time
from markets.grid import Market, parse_instant


def move_values(context: ApiContext, key: Key | None) -> dict[str, Any]:
    """Every value that the template shows; `key` is that of the person who signed in, None for nobody."""
    state, market = context.view.state, context.view.state.site.market
    inbox = context.ledger.inbox
    waiting = [row for row in inbox.after(state.inbox_cursor, 1000) if row.kind == "hold"]
    order = StopFile(context.data_dir).read()
    return {
        "may_order": key is not None and allows(key, "dispatch"),
        "orders_as": key.name if key else "",
        "stop": order,
        "stop_since": market_time(order.at, market) if order and order.at else "a time that is not known",
        "held": [_in_force(hold, market) for hold in state.holds.values() if hold.id != STOP_ID],
        "sent": [_sent(row.document, row.key_name, market) for row in waiting],
        "proposed": [_proposed(p, key, market) for p in proposals(inbox, wall_now())],
        "hold_groups": [(g.name, [m.name for m in g.modes]) for g in state.site.groups],
        "hold_modes": list(dict.fromkeys(m.name for g in state.site.groups for m in g.modes)),
        "most_hours": MOST_HOURS,
    }


def _in_force(hold: Hold, market: Market) -> dict[str, Any]:
    until = market_time(hold.until, market) if hold.until else "its release"
    return {"id": hold.id, "what": _order(hold.group, hold.mode, hold.mw_cap), "until": until, "by": hold.by}


def _sent(document: Mapping[str, Any], by: str, market: Market) -> dict[str, Any]:
    """A hold, or a release of one, that the control loop has not read yet."""
    if document.get("released"):
        return {"what": f"the release of {document['id']}", "until": "", "by": by}
    return {**_row(document, market), "by": document.get("by") or by}


def _proposed(proposal: HoldProposal, key: Key | None, market: Market) -> dict[str, Any]:
    row = {"id": proposal.id, "by": proposal.by, "moved_mw": proposal.moved_mw, "hold": dict(proposal.hold)}
    return {**_row(proposal.hold, market), **row, "own": key is not None and key.name == proposal.key_name}


def _row(document: Mapping[str, Any], market: Market) -> dict[str, Any]:
    until = document.get("until")
    what = _order(document.get("group"), document.get("mode"), document.get("mw_cap"))
    return {"what": what, "until": market_time(parse_instant(until), market) if until else "24 hours after it is read"}


def _order(group: str | None, mode: str | None, mw_cap: float | None) -> str:
    return f"{group or 'the whole site'} {f'in {mode}' if mode else f'at most {mw_cap:g} MW'}"
