"""The preview of a manual move: what a hold, a release, the global stop or its end would do, before it is done."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from dispatch.decide.manual_move import MovePreview, preview_hold, preview_stop
from dispatch.entries import Hold
from dispatch.signals.documents import HoldDocument, parse_hold
from dispatch.web.context import ApiContext, Context
from dispatch.web.errors import Refusal, responses
from dispatch.web.signal_routes import refusals

router = APIRouter(prefix="/api/v1", tags=["dispatch"], responses=responses(400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503))


class MoveDocument(BaseModel):
    """A manual move: a `hold` as POST /api/v1/holds takes it, the `release` of the hold with this id, or the global stop or its end."""

    model_config = ConfigDict(extra="forbid")

    hold: HoldDocument | None = None
    release: str | None = None
    stop: Literal["order", "end"] | None = None


class MoveAnswer(BaseModel):
    """What the move would do at once. `usd_per_hour` counts energy and hashing at current prices and is null where one is not known;
    `promises_mw` says by how many MW more each promise would be missed; `needs_second_person` whether one person may order it alone."""

    moved_mw: float
    needs_second_person: bool
    now_mw: dict[str, float]
    without_mw: dict[str, float]
    with_mw: dict[str, float]
    usd_per_hour: float | None
    promises_mw: dict[str, float]
    reasons: list[str]


@router.post("/moves/preview", summary="What a manual move would do: MW, $ an hour, and the promises it touches")
def post_preview(context: Context, move: MoveDocument) -> MoveAnswer:
    if sum(part is not None for part in (move.hold, move.release, move.stop)) != 1:
        raise Refusal(422, "A preview is of exactly one of hold, release and stop")
    preview, most_mw = _preview(context, move), context.setup.site.two_person_mw
    return MoveAnswer(
        moved_mw=round(preview.moved_mw, 6),
        needs_second_person=move.hold is not None and most_mw is not None and preview.moved_mw > most_mw,
        now_mw=dict(preview.now_mw),
        without_mw=dict(preview.without_mw),
        with_mw=dict(preview.with_mw),
        usd_per_hour=preview.usd_per_hour,
        promises_mw=dict(preview.promises_mw),
        reasons=list(preview.reasons),
    )


def _preview(context: ApiContext, move: MoveDocument) -> MovePreview:
    state, now = context.view.state, context.now()
    if state.seen_at is None:
        raise Refusal(503, "Nothing has been observed yet, so there is nothing to move")
    if move.stop is not None:
        return preview_stop(state, now, ends=move.stop == "end")
    if move.hold is not None:
        with refusals():
            return preview_hold(state, now, parse_hold(move.hold.model_copy(update={"id": move.hold.id or "new"}), state.site, "", now))
    if move.release is None or move.release not in state.holds:
        raise Refusal(404, f"There is no hold {move.release!r}; there are {', '.join(state.holds) or 'none'}")
    return preview_hold(state, now, Hold(id=move.release, group=None, mode=None, mw_cap=None, until=None, by="", released=True))
