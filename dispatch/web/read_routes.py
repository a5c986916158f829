"""Routes that read: state, plan, prices, fleet, contracts, signals, journal and statements. None of them changes anything."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, JSONResponse, Response

from dispatch import ConfigError
from dispatch.clock import wall_now
from dispatch.decide.state import State
from dispatch.entries import entry_to_json
from dispatch.evidence.event_packet import MARGIN, event_document, event_end
from dispatch.evidence.loads_seen import loads_seen
from dispatch.signals.documents import Instant
from dispatch.signals.hold_proposals import proposals
from dispatch.store.recorded_setup import setup_at
from dispatch.web import documents
from dispatch.web.chart import chart_document
from dispatch.web.context import ApiContext, Context
from dispatch.web.described import answer, described
from dispatch.web.errors import Refusal, responses
from dispatch.web.forecast_document import forecast_document
from dispatch.web.metrics import metrics_text
from dispatch.web.money_document import money_document
from dispatch.web.peaks_document import PeaksDocument, peaks_document
from dispatch.web.promises_document import PromisesDocument, promises_document
from dispatch.web.state_document import StateDocument
from markets.facts import Call
from markets.grid import format_instant
from optimizer.domain.calls import events_of

Doc = dict[str, Any]
Seq = Annotated[int, Query(ge=0, le=2**62)]
ROWS_BEFORE = 300  # of an event: about a day, for the temperature known when it began
Newest = Annotated[int, Query(ge=1, le=10_000, description="At most so many, the newest")]
ID_PATTERN = r"^[^\x00-\x1f\x7f/]{1,200}$"

router = APIRouter(prefix="/api/v1", tags=["read"], responses=responses(401, 403, 405, 422, 429, 500, 503))
metrics = APIRouter(tags=["read"], responses=responses(401, 403, 405, 429, 500, 503))


@router.get("/state", summary="What the site does now, and why", **described(StateDocument))
def get_state(context: Context) -> Response:
    return answer(context.state())


@router.get("/plan", summary="The plan in force", responses=responses(404))
def get_plan(context: Context) -> Doc:
    plan = documents.plan_document(context.view, context.now())
    if plan is None:
        raise Refusal(404, "There is no plan yet")
    return plan


@router.get("/prices", summary="Published, day-ahead and expected prices; hashprice and breakevens")
def get_prices(
    context: Context,
    since: Annotated[Instant | None, Query(description="Published prices from here on; the last 24 h when omitted")] = None,
) -> Doc:
    now = context.now()
    if since is not None and since > now:
        raise Refusal(422, f"`since` is later than now, {documents.iso(now)}")
    return documents.prices_document(context.view, now, since)


@router.get("/fleet", summary="Rigs by group, mode and condition")
def get_fleet(context: Context) -> Doc:
    return documents.fleet_document(context.view)


@router.get("/obligations", summary="Every obligation with its figures")
def get_obligations(context: Context) -> Doc:
    return {"obligations": documents.obligations_document(context.view, context.now())}


@router.get(
    "/promises",
    summary="What insists on the load now with its margin, each contract's calls and proved reduction, and what was kept last",
    **described(PromisesDocument),
)
def get_promises(context: Context) -> Response:
    return answer(promises_document(context))


@router.get("/calls", summary="The newest calls received, every version, and those still waiting in the inbox")
def get_calls(context: Context, limit: Newest = 1000) -> Doc:
    received = context.ledger.calls(limit)
    return {"calls": documents.calls_document(context.view, context.now(), received)[:limit], "waiting": _waiting(context, "call")}


@router.get("/awards", summary="The newest awards received, and those still waiting in the inbox")
def get_awards(context: Context, limit: Newest = 1000) -> Doc:
    received = context.ledger.awards(limit)
    return {"awards": documents.awards_document(received), "waiting": _waiting(context, "award")}


@router.get("/holds", summary="Holds in force: orders that an operator gave")
def get_holds(context: Context) -> Doc:
    waiting = proposals(context.ledger.inbox, wall_now())
    return {
        "holds": [documents.hold_document(h) for h in context.view.state.holds.values()],
        "waiting": _waiting(context, "hold"),
        "proposals": [{"id": p.id, "hold": dict(p.hold), "moved_mw": p.moved_mw, "by": p.by, "at": format_instant(p.at)} for p in waiting],
    }


def _waiting(context: ApiContext, kind: str) -> list[Doc]:
    rows = context.ledger.inbox.after(context.view.state.inbox_cursor, 1000)
    return [{"inbox": r.id, "document": dict(r.document), "by": r.key_name} for r in rows if r.kind == kind]


@router.get("/journal", summary="Journal rows in order; plans without their intervals unless `plans` is set")
def get_journal(context: Context, after: Seq = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100, plans: bool = False) -> Doc:
    rows = list(itertools.islice(context.ledger.journal.documents(after), limit))
    seq, hash_ = context.ledger.journal.head
    entries = [{"seq": n, **(row if plans else _without_plan(row))} for n, row in rows]
    return {"entries": entries, "next": rows[-1][0] if rows else after, "head": {"seq": seq, "hash": hash_}}


def _without_plan(row: Doc) -> Doc:
    plan = row.get("plan")
    if not isinstance(plan, dict):
        return row
    return {**row, "plan": {k: plan[k] for k in ("at", "objective_usd", "lines", "shortfalls", "reasons", "solve") if k in plan}}


@router.get("/activity", summary="What the site did lately, in sentences, newest first")
def get_activity(context: Context, after: Seq = 0, limit: Annotated[int, Query(ge=1, le=400)] = 100) -> Doc:
    rows = [h for h in list(context.view.activity) if h.seq > after][-limit:]
    return {"activity": [{"seq": h.seq, "at": documents.iso(h.at), "kind": h.kind, "text": h.text} for h in reversed(rows)]}


@router.get("/chart", summary="The figures of the page's chart: price, plan and load in market time")
def get_chart(context: Context) -> Doc:
    return chart_document(context.view, context.now())


@router.get("/forecast", summary="The price forecast against what followed, and its score")
def get_forecast(context: Context) -> Doc:
    return forecast_document(context.view, context.now())


@router.get(
    "/peaks", summary="How the site met coincident peaks, live and in the kept backtest, never added up", **described(PeaksDocument)
)
def get_peaks(context: Context) -> Response:
    return answer(peaks_document(context))


@router.get("/money", summary="A settled day, how it was earned, and its month so far by line and day", responses=responses(404))
def get_money(context: Context, day: Annotated[date | None, Query(description="A settled day; the newest when omitted")] = None) -> Doc:
    return {**money_document(context, day)}


@router.get("/settlements", summary="Every version of every settled day")
def get_settlements(context: Context) -> Doc:
    return {"settlements": context.ledger.settlements()}


# A statement is one file: it may use its own styles and load nothing.
STATEMENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FORMATS = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@router.get(
    "/events/{id}",
    summary="The event packet of a call: signal, decisions, orders, read-backs and load",
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in (FORMATS["html"], FORMATS["pdf"])}}, **responses(404)},
    response_model=None,
)
def get_event(
    context: Context,
    id: Annotated[str, Path(pattern=ID_PATTERN)],
    version: Annotated[int | None, Query(ge=1, description="Any version of the event, where the id was used again")] = None,
    format: Annotated[str, Query(pattern="^(json|html|pdf)$")] = "json",
) -> Response:
    packet = _event_packet(context, id, version)
    if format == "json":
        return JSONResponse(packet)
    from dispatch.reports.event_packet import event_as_html, event_as_pdf  # a PDF library that most requests do not need

    content = event_as_html(packet) if format == "html" else event_as_pdf(packet)
    return Response(content, media_type=FORMATS[format], headers={"Content-Security-Policy": STATEMENT_POLICY})


def _state_for(context: ApiContext, versions: Sequence[Call]) -> tuple[State, str]:
    """The state with the site file that was in force at the end of a call and every award of the journal, so that the verdict on it stays
    the same; and why it cannot be judged by that site file, empty where it can."""
    state, ledger = context.view.state, context.ledger
    awards = tuple(award for _, award in reversed(ledger.awards(10_000, versions[-1].obligation)))
    try:
        setup = setup_at(ledger.engine, event_end(versions, context.now()), state.setup)
    except ConfigError as fault:
        why = f"the site file that was in force then cannot be read any more: {'; '.join(fault.faults)}"
        return replace(state, awards=awards), why
    return replace(state, setup=setup, awards=awards), ""


def _event_packet(context: ApiContext, id: str, version: int | None) -> Doc:
    """The packet, bound to the journal's chain by the hashes of its first and its last row. Raises Refusal."""
    first: dict[int, tuple[int, Call]] = {}
    for seq, call in reversed(context.ledger.calls(10_000, id)):
        first.setdefault(call.version, (seq, call))
    events = events_of([call for _, call in first.values()])
    versions = next((e for e in reversed(events) if version is None or version in [c.version for c in e]), None)
    if versions is None:
        raise Refusal(404, f"No call {id!r} was received" + (f" in version {version}" if events else ""))
    first_seq, last = min(first[c.version][0] for c in versions), event_end(versions, context.now()) + MARGIN
    state, doubt = _state_for(context, versions)
    read = context.ledger.journal.read(max(0, first_seq - ROWS_BEFORE))
    entries = list(itertools.takewhile(lambda row: row[0] < first_seq or row[1].at <= last, read))
    documents_of = ((n, entry_to_json(e)) for n, e in entries if n >= first_seq)
    loads = loads_seen((e for _, e in entries), state.site, state.net_meters)
    packet = event_document(id, versions, documents_of, state, loads, context.now())
    if doubt and packet["verdict"]:
        packet["verdict"] |= {"passed": None, "reason": doubt}
    hash_at = context.ledger.journal.hash_at
    return {
        **packet,
        "journal": {name: {"seq": seq, "hash": hash_at(seq)} for name, seq in (("first", first_seq), ("last", entries[-1][0]))},
    }


@router.get(
    "/settlements/{day}",
    summary="A day's statement",
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in FORMATS.values()}}, **responses(404)},
    response_model=None,
)
def get_settlement(
    context: Context,
    day: date,
    version: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    format: Annotated[str, Query(pattern="^(json|html|csv|pdf|xlsx)$")] = "json",
) -> Response:
    found = context.ledger.settlement(day.isoformat(), version)
    if found is None:
        raise Refusal(404, f"{day} is not settled{f' in version {version}' if version else ''}")
    if format == "json":
        return JSONResponse(found)
    file = context.data_dir / "settlements" / day.isoformat() / f"settlement-v{found['version']}.{format}"
    if not file.is_file():
        raise Refusal(404, f"Version {found['version']} of {day} was not written as {format}: loadstone settle {day} --format {format}")
    return FileResponse(file, media_type=FORMATS[format], headers={"Content-Security-Policy": STATEMENT_POLICY})


@router.get("/health/live", summary="Whether this process is running")
def get_live() -> Doc:
    return {"live": True}


@router.get("/health/ready", summary="Whether the control loop runs: leader, journal and latest observation")
def get_ready(context: Context) -> Doc:
    health = context.health()
    if not health["ready"]:
        parts = {"ledger": health["ledger"], "leader": health["leader"], "loop": health["loop"], "prices": health["prices"]}
        raise Refusal(503, "; ".join(f"{part}: {text}" for part, text in parts.items() if text != "ok"))
    return {**health}


@metrics.get("/metrics", summary="Prometheus", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(context: Context) -> Response:
    body, media_type = metrics_text(context)
    return Response(body, media_type=media_type)
