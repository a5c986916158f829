"""stop, resume, hold: what an operator orders by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, instant, ledger, out, setup_of_ledger, table
from markets import counted, usd_text

if TYPE_CHECKING:
    from dispatch.decide.manual_move import MovePreview
    from dispatch.decide.state import State
    from dispatch.entries import Hold
    from dispatch.store.stop_file import StopFile

hold = typer.Typer(no_args_is_help=True, help="Holds: an operator's limit or mode for a group or the site, always with an end.")

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who orders it.")]
Preview = Annotated[bool, typer.Option("--preview", help="Say what it would do: MW, $ an hour, promises touched. Nothing is ordered.")]
POLL_S = 0.1


def stop(
    data: Data = Path("data"),
    by: By = "command line",
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the journal's readers.")] = "",
    wait_s: Annotated[float, typer.Option("--wait", min=0.0, help="Seconds to wait for the control loop before ordering the rigs.")] = 10.0,
    preview: Preview = False,
    as_json: Json = False,
) -> None:
    """Put every rig to sleep until `resume`, whatever plan, contracts and calls ask.

    Needs neither the API, nor the ledger, nor free space. When the control loop does not answer, this command orders the rigs itself.
    """
    from dispatch.clock import wall_now
    from dispatch.store.stop_file import StopFile

    if not data.is_dir():
        raise Ended(WRONG, f"{data}: there is no data folder here")
    if preview:
        _preview_stop(data, as_json)
        return
    file = StopFile(data)
    order = file.order(wall_now(), by, why)
    document: dict[str, Any] = {"stop": str(file.path), "by": order.by, "read_by_loop": _read_within(file, wait_s), "direct": None}
    if document["read_by_loop"]:
        out(document, as_json, ["The control loop has read the stop and puts every rig to sleep."])
        return
    direct = _direct(data)
    document["direct"] = direct
    lines = [
        f"The control loop did not answer within {wait_s:g} s: {counted(direct['taken'], 'rig')} took the order directly,"
        f" {direct['not_taken']} did not; they read {direct['load_mw']:.3f} MW afterwards."
    ]
    out(document, as_json, lines)
    if direct["not_taken"]:
        raise Ended(FINDINGS)


def _read_within(file: StopFile, wait_s: float) -> bool:
    """Whether the control loop reads the stop in time."""
    import time

    from dispatch.clock import wall_s

    until = wall_s() + wait_s
    while (order := file.read()) is None or order.read_at is None:
        if wall_s() >= until:
            return False
        time.sleep(POLL_S)
    return True


def _direct(data: Path) -> dict[str, Any]:
    import asyncio
    from dataclasses import asdict

    from dispatch.service.direct_stop import NoRecordedRun, direct_stop, recorded_job

    try:
        return asdict(asyncio.run(direct_stop(recorded_job(data))))
    except NoRecordedRun as fault:
        raise Ended(WRONG, f"The stop is in force, but no rig was ordered: {fault}") from None


def resume(data: Data = Path("data"), as_json: Json = False) -> None:
    """End the global stop: the control loop decides again."""
    from dispatch.store.stop_file import StopFile

    ended = StopFile(data).resume()
    if ended is None:
        raise Ended(WRONG, f"{data}: there is no global stop")
    out({"ended": True, "by": ended.by}, as_json, [f"The global stop by {ended.by} has ended."])


@hold.command("add")
def add_hold(
    data: Data = Path("data"),
    group: Annotated[str | None, typer.Option("--group", metavar="NAME", help="A rig group; the whole site without it.")] = None,
    mw: Annotated[float | None, typer.Option("--mw", min=0.0, help="At most so many MW at the meter.")] = None,
    mode: Annotated[str | None, typer.Option("--mode", metavar="MODE", help="All rigs in this mode.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="When it ends (ISO 8601). Default: in 24 hours.")] = None,
    by: By = "command line",
    preview: Preview = False,
    as_json: Json = False,
) -> None:
    """Hold a group or the site at a limit or in a mode. It survives restarts and new plans, and ends by itself.

    A hold that moves more than `two_person_mw` of the site file waits until another person confirms it.
    """
    from dispatch.signals.documents import InvalidDocument, parse_hold
    from dispatch.store.inbox import Inbox

    engine = ledger(data)
    end = instant(until, "--until").isoformat() if until else None
    given = {"group": group, "mw_cap": mw, "mode": mode, "until": end, "by": by}
    document = {key: value for key, value in given.items() if value is not None}
    site = setup_of_ledger(engine).site
    try:
        parsed = parse_hold({**document, "id": "new"}, site, by)
    except InvalidDocument as faults:
        raise Ended(WRONG, *(str(fault) for fault in faults.faults)) from None
    if preview:
        _show(_moved(data, parsed), site.two_person_mw, as_json)
        return
    if site.two_person_mw is not None and (moved_mw := _moved(data, parsed).moved_mw) > site.two_person_mw:
        _propose(data, document, (moved_mw, site.two_person_mw), by, as_json)
        return
    row, _ = Inbox(engine).put("hold", document, by)
    out({"id": f"hold-{row}", "inbox": row}, as_json, [f"hold-{row}"])


@hold.command("confirm")
def confirm_hold(
    id: Annotated[str, typer.Argument(metavar="ID")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who confirms it; not the one who proposed it.")],
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Confirm a hold that another person proposed: it is ordered now."""
    from dispatch.clock import wall_now
    from dispatch.signals.hold_proposals import NotConfirmed, confirm
    from dispatch.store.inbox import Inbox

    try:
        row, hold_id = confirm(Inbox(ledger(data)), id, by, by, wall_now())
    except NotConfirmed as fault:
        raise Ended(WRONG, str(fault)) from None
    out({"id": hold_id, "proposal": id, "inbox": row}, as_json, [f"{hold_id} is ordered"])


@hold.command("list")
def list_holds(data: Data = Path("data"), as_json: Json = False) -> None:
    """List the holds in force and those that wait for the control loop, and the global stop."""
    from dispatch.store.stop_file import StopFile

    rows = _holds(data)
    if (order := StopFile(data).read()) is not None:
        rows.append({"id": "global-stop", "group": None, "mode": "sleep", "mw_cap": None, "until": None, "by": order.by})
    out({"holds": rows}, as_json, table(rows, ["id", "group", "mode", "mw_cap", "until", "by"]) if rows else ["no holds"])


@hold.command("release")
def release_hold(
    id: Annotated[str, typer.Argument(metavar="ID")], data: Data = Path("data"), by: By = "command line", as_json: Json = False
) -> None:
    """End a hold now."""
    from dispatch.store.inbox import Inbox

    known = [row["id"] for row in _holds(data)]
    if id not in known:
        raise Ended(WRONG, f"there is no hold {id!r}; there are {', '.join(known) or 'none'}")
    Inbox(ledger(data)).put("hold", {"id": id, "released": True, "by": by}, by)
    out({"released": id}, as_json, [f"{id} released"])


def _preview_stop(data: Path, as_json: bool) -> None:
    from dispatch.clock import wall_now
    from dispatch.decide.manual_move import preview_stop

    state = _state(data)
    _show(preview_stop(state, state.seen_at or wall_now()), None, as_json)


def _moved(data: Path, hold: Hold) -> MovePreview:
    from dispatch.clock import wall_now
    from dispatch.decide.manual_move import preview_hold

    state = _state(data)
    return preview_hold(state, state.seen_at or wall_now(), hold)


def _propose(data: Path, document: dict[str, Any], moved_of_most: tuple[float, float], by: str, as_json: bool) -> None:
    """Store a hold that one person may not order alone, and say how it is confirmed."""
    from dispatch.signals.hold_proposals import propose
    from dispatch.store.inbox import Inbox

    moved_mw, most_mw = moved_of_most
    id_, _ = propose(Inbox(ledger(data)), document, moved_mw, by)
    lines = [f"{id_}: NOT DONE YET, it moves {moved_mw:.3f} MW, more than the {most_mw:g} MW that one person may"]
    lines.append(f"another person confirms it within an hour: loadstone hold confirm {id_} --by NAME")
    out({"id": id_, "proposal": True, "moved_mw": moved_mw}, as_json, lines)


def _state(data: Path) -> State:
    """The state by the newest row of the journal. Raises Ended where nothing was observed yet."""
    from dispatch.decide.state import State
    from dispatch.runtime.loop import fold
    from dispatch.runtime.recovery import StateSnapshots
    from dispatch.site_file.load import setup_from_document
    from dispatch.store.journal import SqlJournal

    engine = ledger(data)
    setup = setup_of_ledger(engine)
    state = fold(StateSnapshots(engine, setup).recovered(State.start(setup, setup_from_document)), SqlJournal(engine))
    if state.seen_at is None:
        raise Ended(WRONG, f"{data}: nothing was observed yet, so that nobody knows what a move would do")
    return state


def _show(move: MovePreview, two_person_mw: float | None, as_json: bool) -> None:
    second = two_person_mw is not None and move.moved_mw > two_person_mw
    earns = "what it earns is not known: no real-time price or no hashprice"
    if move.usd_per_hour is not None:
        earns = f"earns {usd_text(move.usd_per_hour)} an hour"
    rows = [
        {"group": g, "now": f"{move.now_mw[g]:.3f} MW", "without": f"{move.without_mw[g]:.3f} MW", "with": f"{mw:.3f} MW"}
        for g, mw in move.with_mw.items()
    ]
    lines = [*table(rows, ["group", "now", "without", "with"]), f"moves {move.moved_mw:.3f} MW; {earns}"]
    lines += [f"promise {name}: missed by {mw:.3f} MW more" for name, mw in move.promises_mw.items()] or ["touches no promise"]
    lines += ["one person may not order it alone"] if second else []
    figures = {"now_mw": move.now_mw, "without_mw": move.without_mw, "with_mw": move.with_mw, "promises_mw": move.promises_mw}
    document = {"moved_mw": move.moved_mw, "needs_second_person": second, "usd_per_hour": move.usd_per_hour, **figures}
    out({**document, "reasons": list(move.reasons)}, as_json, lines)


def _holds(data: Path) -> list[dict[str, Any]]:
    """Holds of the inbox that have not ended: by the journal's time, or by the wall where they were sent without an end."""
    from dispatch.clock import wall_now
    from dispatch.signals.documents import HOLD_LASTS
    from dispatch.store.inbox import Inbox
    from dispatch.store.journal import SqlJournal
    from markets.grid import parse_instant

    engine = ledger(data)
    world_now = SqlJournal(engine).latest_at() or wall_now()
    holds: dict[str, dict[str, Any]] = {}
    for row in Inbox(engine).rows_of("hold"):
        id_, given = str(row.document.get("id") or f"hold-{row.id}"), row.document.get("until")
        until, now = (parse_instant(given), world_now) if given else (row.at + HOLD_LASTS, wall_now())
        holds.pop(id_, None)
        if not row.document.get("released") and until > now:
            figures = {key: row.document.get(key) for key in ("group", "mode", "mw_cap")}
            holds[id_] = {"id": id_, **figures, "until": until.isoformat(), "by": row.document.get("by") or row.key_name}
    return list(holds.values())
