"""stop, resume, hold: what an operator orders by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dispatch.commands import FINDINGS, WRONG, Data, Ended, Json, instant, ledger, out, setup_of_ledger, table
from markets import counted

if TYPE_CHECKING:
    from dispatch.store.stop_file import StopFile

hold = typer.Typer(no_args_is_help=True, help="Holds: an operator's limit or mode for a group or the site, always with an end.")

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who orders it.")]
POLL_S = 0.1


def stop(
    data: Data = Path("data"),
    by: By = "command line",
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why, for the journal's readers.")] = "",
    wait_s: Annotated[float, typer.Option("--wait", min=0.0, help="Seconds to wait for the control loop before ordering the rigs.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Put every rig to sleep until `resume`, whatever plan, contracts and calls ask.

    Needs neither the API, nor the ledger, nor free space. When the control loop does not answer, this command orders the rigs itself.
    """
    from dispatch.clock import wall_now
    from dispatch.store.stop_file import StopFile

    if not data.is_dir():
        raise Ended(WRONG, f"{data}: there is no data folder here")
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
    as_json: Json = False,
) -> None:
    """Hold a group or the site at a limit or in a mode. It survives restarts and new plans, and ends by itself."""
    from dispatch.signals.documents import InvalidDocument, parse_hold
    from dispatch.store.inbox import Inbox

    engine = ledger(data)
    end = instant(until, "--until").isoformat() if until else None
    given = {"group": group, "mw_cap": mw, "mode": mode, "until": end, "by": by}
    document = {key: value for key, value in given.items() if value is not None}
    try:
        parse_hold({**document, "id": "new"}, setup_of_ledger(engine).site, by)
    except InvalidDocument as faults:
        raise Ended(WRONG, *(str(fault) for fault in faults.faults)) from None
    row, _ = Inbox(engine).put("hold", document, by)
    out({"id": f"hold-{row}", "inbox": row}, as_json, [f"hold-{row}"])


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
    for row in Inbox(engine).holds():
        id_, given = str(row.document.get("id") or f"hold-{row.id}"), row.document.get("until")
        until, now = (parse_instant(given), world_now) if given else (row.at + HOLD_LASTS, wall_now())
        holds.pop(id_, None)
        if not row.document.get("released") and until > now:
            figures = {key: row.document.get(key) for key in ("group", "mode", "mw_cap")}
            holds[id_] = {"id": id_, **figures, "until": until.isoformat(), "by": row.document.get("by") or row.key_name}
    return list(holds.values())
