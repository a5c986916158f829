"""Routes that accept calls, awards and holds: each is validated and stored in the inbox, from which the control loop reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request
from pydantic import BaseModel

from dispatch.clock import wall_now
from dispatch.decide.manual_move import preview_hold
from dispatch.entries import Hold
from dispatch.signals.acceptance import Kind, Received, accept
from dispatch.signals.documents import (
    AwardDocument,
    CallDocument,
    DocumentFault,
    HoldDocument,
    InvalidDocument,
    SignalDocument,
    parse_hold,
    stored_document,
)
from dispatch.signals.hold_proposals import PROPOSAL, NotConfirmed, confirm, propose
from dispatch.store import LedgerUnavailable
from dispatch.store.inbox import IdempotencyConflict
from dispatch.web.context import ApiContext, Context
from dispatch.web.errors import Refusal, responses
from dispatch.web.read_routes import ID_PATTERN
from dispatch.web.stop_answers import Move
from markets.grid import format_instant

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repeated request with the same key and content gets the first answer again",
    ),
]

router = APIRouter(prefix="/api/v1", tags=["dispatch"], responses=responses(400, 401, 403, 405, 408, 409, 413, 415, 422, 429, 500, 503))


class Accepted(BaseModel):
    """Stored in the inbox as row `inbox`; the control loop reads it at once. `repeated` when this Idempotency-Key brought it before. `note`
    says what its sender should know, such as a cap that asks for no reduction; empty for nothing."""

    inbox: int
    id: str | None
    repeated: bool
    note: str = ""


@router.post("/calls", status_code=202, summary="Send a call: an instruction to the site under one of its obligations")
def post_call(context: Context, request: Request, call: CallDocument, idempotency_key: IdempotencyKey = None) -> Accepted:
    received = _accept(context, request, "call", call, idempotency_key)
    return Accepted(inbox=received.row, id=call.id, repeated=not received.new, note=received.note)


@router.post("/awards", status_code=202, summary="Send an award: capacity sold, or a baseline")
def post_award(context: Context, request: Request, award: AwardDocument, idempotency_key: IdempotencyKey = None) -> Accepted:
    received = _accept(context, request, "award", award, idempotency_key)
    return Accepted(inbox=received.row, id=None, repeated=not received.new, note=received.note)


@router.post("/holds", status_code=202, summary="Add a hold: an operator's order for a group or the whole site")
def post_hold(context: Context, request: Request, hold: HoldDocument, idempotency_key: IdempotencyKey = None) -> Accepted:
    if hold.released:
        raise Refusal(422, "A hold is released with DELETE /api/v1/holds/{id}", [DocumentFault("released", "is not a key to post")])
    with refusals():
        parsed = parse_hold(hold.model_copy(update={"id": hold.id or "new"}), context.setup.site, _key_name(request), context.now())
        _check_not_over(context, request, parsed, idempotency_key)
    most_mw = context.setup.site.two_person_mw
    if most_mw is not None and (moved_mw := _moved_mw(context, request, parsed, idempotency_key)) > most_mw:
        return _proposed(context, request, hold, moved_mw, idempotency_key)
    row, new = _put(context, request, stored_document(hold), idempotency_key)
    return Accepted(inbox=row, id=hold.id or f"hold-{row}", repeated=not new)


def _check_not_over(context: ApiContext, request: Request, hold: Hold, idempotency_key: str | None) -> None:
    """A hold that would be over at once is a mistake, such as an order from a page that was left open; a repeated request gets the first
    answer again. Raises InvalidDocument, LedgerUnavailable."""
    now = context.now()
    if hold.until is None or hold.until > now:
        return
    if idempotency_key is None or context.ledger.inbox.sent_with(_key_name(request), idempotency_key) is None:
        raise InvalidDocument([DocumentFault("until", f"is over: it is {format_instant(now)} at the site")])


def _moved_mw(context: ApiContext, request: Request, hold: Hold, idempotency_key: str | None) -> float:
    """The MW that a hold moves; where it was sent before with this key, what it moved then, 0 when it was no proposal. So a repeated
    request gets the first answer again, though the hold is in force meanwhile or the load is another."""
    if idempotency_key is not None:
        with refusals():
            earlier = context.ledger.inbox.sent_with(_key_name(request), idempotency_key)
        if earlier is not None:
            return float(earlier.document["moved_mw"]) if earlier.kind == PROPOSAL else 0.0
    if context.view.state.seen_at is None:
        raise Refusal(503, "Nothing has been observed yet, so that nobody knows how much this hold moves")
    return preview_hold(context.view.state, context.now(), hold).moved_mw


def _proposed(context: ApiContext, request: Request, hold: HoldDocument, moved_mw: float, idempotency_key: str | None) -> Accepted:
    """Store a hold that one person may not order alone."""
    with refusals():
        id_, new = propose(context.ledger.inbox, stored_document(hold), moved_mw, _key_name(request), idempotency_key)
    note = f"NOT DONE YET: it moves {moved_mw:.3f} MW, more than the {context.setup.site.two_person_mw:g} MW of two_person_mw. "
    note += f"Another key must confirm it: POST /api/v1/holds/{id_}/confirm"
    return Accepted(inbox=int(id_.rpartition("-")[2]), id=id_, repeated=not new, note=note)


@router.post("/holds/{id}/confirm", status_code=202, summary="Confirm a hold that another person proposed", responses=responses(404))
def post_confirmation(
    context: Context, request: Request, id: Annotated[str, Path(pattern=ID_PATTERN)], idempotency_key: IdempotencyKey = None
) -> Accepted:
    by = _key_name(request)
    with refusals():
        earlier = context.ledger.inbox.sent_with(by, idempotency_key) if idempotency_key else None
        if earlier is not None and earlier.document.get(PROPOSAL) == id:
            return Accepted(inbox=earlier.id, id=str(earlier.document["id"]), repeated=True)
        try:
            row, hold_id = confirm(context.ledger.inbox, id, by, by, wall_now(), idempotency_key)
        except NotConfirmed as fault:
            raise Refusal(409, str(fault)) from None
    return Accepted(inbox=row, id=hold_id, repeated=False)


@router.delete("/holds/{id}", status_code=202, summary="Release a hold", responses=responses(404))
def delete_hold(
    context: Context, request: Request, id: Annotated[str, Path(pattern=ID_PATTERN)], idempotency_key: IdempotencyKey = None
) -> Accepted:
    with refusals():
        earlier = context.ledger.inbox.sent_with(_key_name(request), idempotency_key) if idempotency_key else None
    if earlier is None and id not in context.view.state.holds and id not in _holds_in_inbox(context):
        raise Refusal(404, f"There is no hold {id!r}; there are {', '.join(context.view.state.holds) or 'none'}")
    row, new = _put(context, request, {"id": id, "released": True}, idempotency_key)
    return Accepted(inbox=row, id=id, repeated=not new)


class Stopped(BaseModel):
    """Whether a global stop is in force, and by whom it was ordered. `repeated` when this Idempotency-Key brought it before."""

    in_force: bool
    by: str | None
    repeated: bool = False


@router.post("/stop", status_code=202, summary="Global stop: every rig sleeps until it is ended, whatever plan, contracts and calls ask")
def post_stop(context: Context, request: Request, idempotency_key: IdempotencyKey = None) -> Stopped:
    return _stopped(context, request, "order", idempotency_key)


@router.post("/resume", status_code=202, summary="End the global stop")
def post_resume(context: Context, request: Request, idempotency_key: IdempotencyKey = None) -> Stopped:
    return _stopped(context, request, "end", idempotency_key)


def _stopped(context: ApiContext, request: Request, move: Move, idempotency_key: str | None) -> Stopped:
    try:
        with refusals():
            answer = context.stops.answer(move, _key_name(request), idempotency_key)
    except OSError as fault:
        what, command = ("ordered", "stop") if move == "order" else ("ended", "resume")
        raise Refusal(503, f"No stop could be {what}: {fault}; use loadstone {command} at the site") from None
    return Stopped(in_force=answer.in_force, by=answer.by, repeated=answer.repeated)


def _holds_in_inbox(context: ApiContext) -> set[str]:
    """Ids of holds in the inbox that the control loop has not read yet."""
    rows = context.ledger.inbox.after(context.view.state.inbox_cursor, 1000)
    return {str(r.document.get("id") or f"hold-{r.id}") for r in rows if r.kind == "hold"}


def _accept(context: ApiContext, request: Request, kind: Kind, document: SignalDocument, idempotency_key: str | None) -> Received:
    with refusals():
        inbox, by = context.ledger.inbox, _key_name(request)
        return accept(kind, [("", document)], context.setup, inbox, context.now(), by, [idempotency_key])[0]


def _put(context: ApiContext, request: Request, hold: dict[str, Any], idempotency_key: str | None) -> tuple[int, bool]:
    with refusals():
        return context.ledger.inbox.put("hold", hold, _key_name(request), idempotency_key)


def _key_name(request: Request) -> str:
    key = request.scope.get("state", {}).get("key")
    return key.name if key else "unnamed"


@contextmanager
def refusals() -> Iterator[None]:
    """What is wrong with a document, as the HTTP answer that says so."""
    try:
        yield
    except InvalidDocument as faults:
        raise Refusal(422, str(faults), faults.faults) from None
    except IdempotencyConflict as conflict:
        raise Refusal(409, str(conflict)) from None
    except LedgerUnavailable as fault:
        raise Refusal(503, f"Not stored, send it again: {fault}") from None
