"""Pushing: calls, awards and holds, validated and laid in the inbox. The loop takes them in; nothing here acts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from pydantic import BaseModel

from dispatch.signals.documents import (
    AwardDocument,
    CallDocument,
    DocumentFault,
    HoldDocument,
    InvalidDocument,
    parse_award,
    parse_call,
    parse_hold,
    stored,
)
from dispatch.store import LedgerUnavailable
from dispatch.store.inbox import IdempotencyConflict
from dispatch.web.context import ApiContext, desk
from dispatch.web.errors import Refusal, responses
from dispatch.web.read_routes import NAMED

At = Annotated[ApiContext, Depends(desk)]
Once = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=255, description="The same key and content again: the first answer again"),
]

router = APIRouter(prefix="/api/v1", tags=["dispatch"], responses=responses(400, 401, 403, 405, 409, 413, 415, 422, 500, 503))


class Accepted(BaseModel):
    """It is durable in the inbox; the loop takes it in at once. `repeated` when this key had brought the same before."""

    inbox: int
    id: str | None
    repeated: bool


@router.post("/calls", status_code=202, summary="An instruction to the site under one of its obligations")
def post_call(at: At, request: Request, call: CallDocument, once: Once = None) -> Accepted:
    _valid(lambda: parse_call(call, at.setup.book, at.now()))
    row, new = _put(at, request, "call", stored(call), once)
    return Accepted(inbox=row, id=call.id, repeated=not new)


@router.post("/awards", status_code=202, summary="Capacity sold")
def post_award(at: At, request: Request, award: AwardDocument, once: Once = None) -> Accepted:
    _valid(lambda: parse_award(award, at.setup.book, at.now()))
    row, new = _put(at, request, "award", stored(award), once)
    return Accepted(inbox=row, id=None, repeated=not new)


@router.post("/holds", status_code=202, summary="A person's standing order")
def post_hold(at: At, request: Request, hold: HoldDocument, once: Once = None) -> Accepted:
    if hold.released:
        raise Refusal(422, "A hold is released with DELETE /api/v1/holds/{id}", [DocumentFault("released", "is not posted")])
    _valid(lambda: parse_hold(hold.model_copy(update={"id": hold.id or "new"}), at.setup.site))
    row, new = _put(at, request, "hold", stored(hold), once)
    return Accepted(inbox=row, id=hold.id or f"hold-{row}", repeated=not new)


@router.delete("/holds/{id}", status_code=202, summary="Release a standing order", responses=responses(404))
def delete_hold(at: At, request: Request, id: Annotated[str, Path(pattern=NAMED)]) -> Accepted:
    if id not in at.view.state.holds and id not in _waiting(at):
        raise Refusal(404, f"There is no hold {id!r}; there are {', '.join(at.view.state.holds) or 'none'}")
    row, _ = _put(at, request, "hold", {"id": id, "released": True}, None)
    return Accepted(inbox=row, id=id, repeated=False)


def _waiting(at: ApiContext) -> set[str]:
    """Holds that lie in the inbox and the loop has not taken in yet."""
    rows = at.ledger.inbox.after(at.view.state.inbox, 1000)
    return {str(r.document.get("id") or f"hold-{r.id}") for r in rows if r.kind == "hold"}


def _valid(parse: Any) -> None:
    try:
        parse()
    except InvalidDocument as faults:
        raise Refusal(422, str(faults), faults.faults) from None


def _put(at: ApiContext, request: Request, kind: str, document: dict[str, Any], once: str | None) -> tuple[int, bool]:
    key = request.scope.get("state", {}).get("key")
    try:
        return at.ledger.inbox.put(kind, document, key.name if key else "unnamed", once)
    except IdempotencyConflict as conflict:
        raise Refusal(409, str(conflict)) from None
    except LedgerUnavailable as fault:
        raise Refusal(503, f"It was not taken in, send it again: {fault}") from None
