"""The preview of a manual move: what a hold, a release, the global stop or its end would do, before it is done."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from dispatch.decide.manual_move import MovePreview, preview_hold, preview_stop
from dispatch.entries import Hold
from dispatch.signals.documents import HOLD_LASTS, HoldDocument, Number, parse_hold, stored_document
from dispatch.store.stop_file import StopFile
from dispatch.web.context import ApiContext, Context
from dispatch.web.errors import Refusal, responses
from dispatch.web.move_sentences import hold_end, market_time, move_sentences
from dispatch.web.signal_routes import refusals

MOST_HOURS = 31 * 24.0

router = APIRouter(prefix="/api/v1", tags=["dispatch"], responses=responses(400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503))


class MoveDocument(BaseModel):
    """A manual move: a `hold` as POST /api/v1/holds takes it, the `release` of the hold with this id, or the global stop or its end. A hold
    without `until` may end `ends_in_h` hours from now; the answer has it with its end."""

    model_config = ConfigDict(extra="forbid")

    hold: HoldDocument | None = None
    release: str | None = None
    stop: Literal["order", "end"] | None = None
    ends_in_h: Annotated[Number, Field(gt=0, le=MOST_HOURS)] | None = None


class MoveAnswer(BaseModel):
    """What the move would do at once. `usd_per_hour` counts energy and hashing at current prices and is null where one is not known;
    `promises_mw` says by how many MW more each promise would be missed; `needs_second_person` whether one person may order it alone.
    `sentences` say the same; `hold` is what to post to order the hold, with its end, and null for other moves."""

    moved_mw: float
    needs_second_person: bool
    now_mw: dict[str, float]
    without_mw: dict[str, float]
    with_mw: dict[str, float]
    usd_per_hour: float | None
    promises_mw: dict[str, float]
    reasons: list[str]
    sentences: list[str]
    hold: dict[str, Any] | None


@router.post("/moves/preview", summary="What a manual move would do: MW, $ an hour, and the promises it touches")
def post_preview(context: Context, move: MoveDocument) -> MoveAnswer:
    if sum(part is not None for part in (move.hold, move.release, move.stop)) != 1:
        raise Refusal(422, "A preview is of exactly one of hold, release and stop")
    if move.ends_in_h is not None and (move.hold is None or move.hold.until is not None):
        raise Refusal(422, "ends_in_h is for a hold without `until`")
    if move.hold is not None:
        move = move.model_copy(update={"hold": _with_end(move.hold, context.now(), move.ends_in_h)})
    preview, most_mw = _preview(context, move), context.setup.site.two_person_mw
    needs_second = move.hold is not None and most_mw is not None and preview.moved_mw > most_mw
    return MoveAnswer(
        moved_mw=round(preview.moved_mw, 6),
        needs_second_person=needs_second,
        now_mw=dict(preview.now_mw),
        without_mw=dict(preview.without_mw),
        with_mw=dict(preview.with_mw),
        usd_per_hour=preview.usd_per_hour,
        promises_mw=dict(preview.promises_mw),
        reasons=list(preview.reasons),
        sentences=[*move_sentences(preview, most_mw if needs_second else None), *_ends(context, move)],
        hold=stored_document(move.hold) if move.hold else None,
    )


def _with_end(hold: HoldDocument, now: datetime, ends_in_h: float | None) -> HoldDocument:
    """The hold as it is to be posted: with an end, so that it ends when the preview said."""
    lasts = HOLD_LASTS if ends_in_h is None else timedelta(hours=ends_in_h)
    given = hold.model_dump(exclude_unset=True)
    return HoldDocument(**{**given, "until": (hold.until or now + lasts).replace(microsecond=0)})


def _ends(context: ApiContext, move: MoveDocument) -> Iterable[str]:
    """When a hold or the stop ends, and which stop is ended."""
    market = context.setup.site.market
    if move.hold is not None:
        yield hold_end(move.hold.until, market)
    elif move.stop == "order":
        yield "Every rig sleeps until somebody ends the stop."
    elif move.stop == "end":
        order = StopFile(context.data_dir).read()
        since = f" on {market_time(order.at, market)}" if order and order.at else ""
        yield f"It ends the stop that {order.by} ordered{since}." if order else "No stop is in force."


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
