"""An OpenADR 2.0b VEN: events of a VTN become calls. The VEN itself runs in a child process (openadr2_child.py).

    LOAD_DISPATCH setpoint      a call with mw_target          LOAD_DISPATCH delta      a call with mw_delta
    LOAD_DISPATCH multiplier    refused (optOut): of what load is not said
    SIMPLE level 0              no reduction: recalls          SIMPLE level 1, 2, 3     mw_cap 0: everything that the contract has
    event status cancelled      recalls                        modification number n    version n + 1
    duration 0                  until the event is cancelled

Each interval of an event is a call of its own, the first under the event's id, the others with "#2", "#3" ... behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from dispatch.signals.links.link import UNREADABLE, Document, LinkFault, SiteSide, call_times
from markets.grid import parse_instant

log = structlog.get_logger()

CHILD = Path(__file__).with_name("openadr2_child.py")
# Made by `./loadstone` beside its own environment, from requirements/openadr.txt.
ENVIRONMENT = Path(__file__).parents[3] / ".venv-openadr" / "bin" / "python"
TELEMETRY_EVERY_S = 2.0
WATTS_OF = {"none": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
ENDED = ("cancelled", "completed")


class NotSupported(ValueError):
    """An event that cannot be translated; says why."""


@dataclass(frozen=True, slots=True)
class EventTerms:
    """The contract that events are under, and MW of one unit of a signal that names no unit."""

    obligation: str
    mw_per_unit: float


def calls_of(event: Mapping[str, Any], terms: EventTerms, open_ids: Collection[str] = ()) -> list[Document]:
    """The calls of an event. Those of `open_ids` that an earlier modification of it had and it has no more are recalled: what was done so
    far stays. Raises NotSupported, and UNREADABLE for an event of another form."""
    head = event["event_descriptor"]
    version = {"version": int(head.get("modification_number") or 0) + 1}
    signal, *more = event["event_signals"]
    if more:
        raise NotSupported(f"event {head['event_id']} has {len(more) + 1} signals: one is obeyed at a time")
    intervals: Sequence[Mapping[str, Any]] = signal["intervals"]
    shared = {"obligation": terms.obligation, "source": "OpenADR 2.0b", "authority": str(head.get("market_context") or "")[:500]}
    kind = "test" if str(head.get("test_event") or "false").lower() not in ("false", "none", "") else "deploy"
    out: list[Document] = []
    for n, over in enumerate(intervals if head["event_status"] not in ENDED else ()):
        figure = _figure(signal, float(over["signal_payload"]), terms)
        if figure is not None:
            id_ = str(head["event_id"]) + (f"#{n + 1}" if n else "")
            times = call_times(parse_instant(over["dtstart"]), float(over["duration"]) / 60.0)
            out.append({"id": id_, "kind": kind, **version, **shared, **figure, **times})
    gone = {id_ for id_ in open_ids if id_.partition("#")[0] == str(head["event_id"])} - {str(call["id"]) for call in out}
    # A recall without a version ends the newest one, whichever number the VTN counts by now.
    return [*out, *({"id": id_, "kind": "recall", **shared} for id_ in sorted(gone))]


def _figure(signal: Mapping[str, Any], payload: float, terms: EventTerms) -> dict[str, float] | None:
    """The megawatts that one interval asks for; None where it asks for no reduction."""
    name, kind = signal["signal_name"], signal["signal_type"]
    if name.upper() == "SIMPLE" and kind == "level":
        return {"mw_cap": 0.0} if payload > 0 else None
    if name.upper() == "LOAD_DISPATCH" and kind in ("setpoint", "delta"):
        mw = payload * _mw_per_unit(signal, terms)
        return {"mw_target": mw} if kind == "setpoint" else {"mw_delta": abs(mw)}
    raise NotSupported(f"signal {name} of type {kind} is not supported: SIMPLE level, or LOAD_DISPATCH setpoint or delta")


def _mw_per_unit(signal: Mapping[str, Any], terms: EventTerms) -> float:
    measured = signal.get("measurement")
    if not measured:
        return terms.mw_per_unit
    if measured.get("unit", "W") != "W" or measured.get("scale", "none") not in WATTS_OF:
        raise NotSupported(f"a dispatch in {measured.get('scale', '')}{measured.get('unit')}: it must be in W, kW, MW or GW")
    return WATTS_OF[measured.get("scale", "none")] / 1e6


class OpenAdr2Ven:
    """Polls the VTN at `url` as `ven`, every `poll_s` wall seconds."""

    def __init__(self, python: Path, url: str, ven: str, poll_s: float, terms: EventTerms) -> None:
        self._python, self._terms = python, terms
        self._settings = {"url": url, "ven": ven, "poll_s": poll_s}

    async def run(self, site: SiteSide) -> None:
        """Run the child until cancelled. Raises LinkFault where its environment is missing or it ends."""
        if not self._python.exists():
            raise LinkFault(
                f"there is no {self._python}: start with ./loadstone, or make an environment from requirements/openadr.txt and name it"
                " with `python`"
            )
        child = await asyncio.create_subprocess_exec(
            str(self._python),
            str(CHILD),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
            limit=2**22,
        )
        reporting = asyncio.create_task(self._report(child, site))
        try:
            _say(child, self._settings)
            await self._listen(child, site)
            raise LinkFault("the VEN's process ended; it is started again")
        finally:
            reporting.cancel()
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _report(self, child: asyncio.subprocess.Process, site: SiteSide) -> None:
        while True:
            if (telemetry := site.telemetry()) is not None:
                _say(child, {"load_mw": telemetry.load_mw})
            await asyncio.sleep(TELEMETRY_EVERY_S)

    async def _listen(self, child: asyncio.subprocess.Process, site: SiteSide) -> None:
        assert child.stdout is not None
        while line := await child.stdout.readline():
            document = json.loads(line)
            if "heard" in document:
                site.heard()
            elif "event" in document:
                event_id = str(document["event"]["event_descriptor"]["event_id"])
                _say(child, {"event_id": event_id, "opt": "optIn" if self._obey(document["event"], event_id, site) else "optOut"})
            elif "fault" in document:
                raise LinkFault(f"the VEN failed: {document['fault']}")

    def _obey(self, event: Mapping[str, Any], event_id: str, site: SiteSide) -> bool:
        """Whether the site takes an event up."""
        try:
            calls = calls_of(event, self._terms, site.open_ids())
        except UNREADABLE as fault:
            log.error("an OpenADR event was not taken up", event_id=event_id, why=str(fault))
            return False
        return all(answer.accepted for answer in site.receive(calls)) if calls else True


def _say(child: asyncio.subprocess.Process, document: Document) -> None:
    if child.stdin is not None and not child.stdin.is_closing():
        child.stdin.write((json.dumps(document) + "\n").encode())
