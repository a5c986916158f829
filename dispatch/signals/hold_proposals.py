"""Holds that move more load than one person may: proposed by one, done when another confirms them.

A proposal is an inbox row of its own, which the control loop passes over. Its confirmation puts the hold itself into the inbox, in both
persons' names, and the journal has it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dispatch.store.inbox import Inbox, InboxRow

PROPOSAL = "proposal"
# Who confirms later confirms what nobody looks at any more.
CONFIRMED_WITHIN = timedelta(hours=1)


class NotConfirmed(Exception):
    """A proposal cannot be confirmed; says why."""


@dataclass(frozen=True, slots=True)
class HoldProposal:
    """A hold that waits for a second person. `by` is who proposed it, `key_name` the key it came by. Once it is confirmed the hold has the
    id that it was proposed with, so that it takes the place of the one in force, else that of the proposal."""

    id: str
    hold: Mapping[str, Any]
    moved_mw: float
    by: str
    key_name: str
    at: datetime


def propose(inbox: Inbox, hold: Mapping[str, Any], moved_mw: float, key_name: str, idempotency_key: str | None = None) -> tuple[str, bool]:
    """Store a proposal; its id, and whether it is new: one that came with the same idempotency key is not. Raises IdempotencyConflict,
    LedgerUnavailable."""
    row, new = inbox.put(PROPOSAL, {"hold": dict(hold), "moved_mw": round(moved_mw, 6)}, key_name, idempotency_key)
    return f"{PROPOSAL}-{row}", new


def proposals(inbox: Inbox, now: datetime) -> list[HoldProposal]:
    """The proposals that wait, by the wall's time `now`. Raises LedgerUnavailable."""
    done = {row.document.get(PROPOSAL) for row in inbox.rows_of("hold")}
    found = [_proposal(row) for row in inbox.rows_of(PROPOSAL) if now - row.at <= CONFIRMED_WITHIN]
    return [each for each in found if each.id not in done]


def confirm(inbox: Inbox, id_: str, key_name: str, by: str, now: datetime, idempotency_key: str | None = None) -> tuple[int, str]:
    """Put a proposed hold into the inbox; its row, and its id. Raises NotConfirmed, IdempotencyConflict, LedgerUnavailable."""
    waiting = {each.id: each for each in proposals(inbox, now)}
    proposal = waiting.get(id_)
    if proposal is None:
        what = f"{', '.join(waiting)} wait" if waiting else "none waits"
        raise NotConfirmed(f"there is no proposal {id_!r} that waits for a second person; {what}")
    if by == proposal.by or key_name == proposal.key_name:
        raise NotConfirmed(f"{id_} was proposed by {proposal.by}: another person must confirm it")
    hold = {"id": id_, **proposal.hold, PROPOSAL: id_, "by": f"{proposal.by}, confirmed by {by}"}
    row, _ = inbox.put("hold", hold, key_name, idempotency_key)
    return row, str(hold["id"])


def _proposal(row: InboxRow) -> HoldProposal:
    hold = row.document["hold"]
    by = str(hold.get("by") or row.key_name)
    return HoldProposal(f"{PROPOSAL}-{row.id}", hold, float(row.document["moved_mw"]), by, row.key_name, row.at)
