"""Reading: everything the site knows of itself. No route here changes anything."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import FileResponse, JSONResponse, Response

from dispatch.entries import entry_to_json
from dispatch.evidence.event_packet import event_document
from dispatch.signals.documents import Instant
from dispatch.web import documents
from dispatch.web.chart import chart_document
from dispatch.web.context import ApiContext, desk
from dispatch.web.errors import Refusal, responses
from dispatch.web.metrics import metrics_text

Doc = dict[str, Any]
At = Annotated[ApiContext, Depends(desk)]
Seq = Annotated[int, Query(ge=0, le=2**62)]
NAMED = r"^[^\x00-\x1f\x7f/]{1,200}$"

router = APIRouter(prefix="/api/v1", tags=["read"], responses=responses(401, 403, 405, 422, 500, 503))
metrics = APIRouter(tags=["read"], responses=responses(401, 403, 405, 500, 503))


@router.get("/state", summary="What the site does now, and why")
def get_state(at: At) -> Doc:
    return at.state()


@router.get("/plan", summary="The plan in force", responses=responses(404))
def get_plan(at: At) -> Doc:
    plan = documents.plan_document(at.view, at.now())
    if plan is None:
        raise Refusal(404, "There is no plan yet")
    return plan


@router.get("/prices", summary="Prices published, day-ahead and expected; hashprice and breakevens")
def get_prices(
    at: At, since: Annotated[Instant | None, Query(description="Published prices from here on; a day back, if left out")] = None
) -> Doc:
    now = at.now()
    if since is not None and since > now:
        raise Refusal(422, f"`since` lies ahead of now, {documents.iso(now)}")
    return documents.prices_document(at.view, now, since)


@router.get("/fleet", summary="Rigs by group, mode and condition")
def get_fleet(at: At) -> Doc:
    return documents.fleet_document(at.view)


@router.get("/obligations", summary="The book")
def get_obligations(at: At) -> Doc:
    return {"obligations": documents.obligations_document(at.view, at.now())}


@router.get("/calls", summary="Calls and versions taken in, and what still waits in the inbox")
def get_calls(at: At) -> Doc:
    return {"calls": documents.calls_document(at.view, at.now()), "waiting": _waiting(at, "call")}


@router.get("/awards", summary="Awards taken in")
def get_awards(at: At) -> Doc:
    return {"awards": documents.awards_document(at.view.awards), "waiting": _waiting(at, "award")}


@router.get("/holds", summary="Standing orders of people")
def get_holds(at: At) -> Doc:
    return {"holds": [documents.hold_document(h) for h in at.view.state.holds.values()], "waiting": _waiting(at, "hold")}


def _waiting(at: ApiContext, kind: str) -> list[Doc]:
    rows = at.ledger.inbox.after(at.view.state.inbox, 1000)
    return [{"inbox": r.id, "document": dict(r.document), "by": r.key_name} for r in rows if r.kind == kind]


@router.get("/journal", summary="Rows of the journal, in order; plans by their money only unless asked for")
def get_journal(at: At, after: Seq = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100, plans: bool = False) -> Doc:
    rows = list(itertools.islice(at.ledger.journal.documents(after), limit))
    seq, hash_ = at.ledger.journal.head
    entries = [{"seq": n, **(row if plans else _without_plan(row))} for n, row in rows]
    return {"entries": entries, "next": rows[-1][0] if rows else after, "head": {"seq": seq, "hash": hash_}}


def _without_plan(row: Doc) -> Doc:
    plan = row.get("plan")
    if not isinstance(plan, dict):
        return row
    return {**row, "plan": {k: plan[k] for k in ("at", "objective_usd", "lines", "shortfalls", "reasons", "solve") if k in plan}}


@router.get("/happenings", summary="What happened lately, in words")
def get_happenings(at: At, after: Seq = 0, limit: Annotated[int, Query(ge=1, le=400)] = 100) -> Doc:
    rows = [h for h in list(at.view.happenings) if h.seq > after][-limit:]
    return {"happenings": [{"seq": h.seq, "at": documents.iso(h.at), "kind": h.kind, "text": h.text} for h in reversed(rows)]}


@router.get("/chart", summary="What the page draws: price, plan and load in market time")
def get_chart(at: At) -> Doc:
    return chart_document(at.view, at.now())


@router.get(
    "/events/{id}", summary="The compliance packet of a call: signal, decisions, commands, read-backs, load", responses=responses(404)
)
def get_event(at: At, id: Annotated[str, Path(pattern=NAMED)]) -> Doc:
    rows = sorted((seq, call) for (name, _), (seq, call) in list(at.view.calls.items()) if name == id)
    if not rows:
        raise Refusal(404, f"No call {id!r} was taken in")
    entries = ((n, entry_to_json(e)) for n, e in at.ledger.journal.read(rows[0][0] - 1))
    return event_document(id, [call for _, call in rows], entries, at.view, at.now())


@router.get("/settlements", summary="Days settled, every version")
def get_settlements(at: At) -> Doc:
    return {"settlements": at.ledger.settlements()}


# A statement is one file: its own styles, nothing else.
PRINTED = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FORMATS = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@router.get(
    "/settlements/{day}",
    summary="A day's statement",
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in FORMATS.values()}}, **responses(404)},
    response_model=None,
)
def get_settlement(
    at: At,
    day: date,
    version: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    format: Annotated[str, Query(pattern="^(json|html|csv|pdf|xlsx)$")] = "json",
) -> Response:
    found = at.ledger.settlement(day.isoformat(), version)
    if found is None:
        raise Refusal(404, f"{day} is not settled{f' in version {version}' if version else ''}")
    if format == "json":
        return JSONResponse(found)
    file = at.data_dir / "settlements" / day.isoformat() / f"settlement-v{found['version']}.{format}"
    if not file.is_file():
        raise Refusal(404, f"Version {found['version']} of {day} was not written as {format}: loadstone settle {day} --format {format}")
    return FileResponse(file, media_type=FORMATS[format], headers={"Content-Security-Policy": PRINTED})


@router.get("/health/live", summary="Whether this process answers")
def get_live() -> Doc:
    return {"live": True}


@router.get("/health/ready", summary="Whether the site is led, followed and seen in time")
def get_ready(at: At) -> Doc:
    health = at.health()
    if not health["ready"]:
        raise Refusal(503, "; ".join(f"{k}: {health[k]}" for k in ("ledger", "leader", "loop") if health[k] != "ok"))
    return health


@metrics.get("/metrics", summary="Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(at: At) -> Response:
    body, media_type = metrics_text(at)
    return Response(body, media_type=media_type)
