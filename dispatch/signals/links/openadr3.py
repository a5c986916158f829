"""An OpenADR 3 VEN over HTTP: events of a VTN become calls; the load is reported for each event in force.

    DISPATCH_SETPOINT                                   a call with mw_target
    DISPATCH_SETPOINT_RELATIVE                          a call with mw_delta
    CONSUMPTION_POWER_LIMIT, IMPORT_CAPACITY_LIMIT      a call with mw_cap
    SIMPLE 0                                            no reduction            SIMPLE 1, 2, 3      mw_cap 0
    an event that the VTN lists no more                 a recall: what was done so far stays

Figures are in the unit of the event's payload descriptor, kW where it has none. Events have no version: changed content is the next one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import structlog

from dispatch.clock import wall_now, wall_s
from dispatch.signals.links.link import UNREADABLE, Document, LinkFault, SiteSide, call_times
from markets.grid import parse_instant

log = structlog.get_logger()

FIGURES = {
    "DISPATCH_SETPOINT": "mw_target",
    "DISPATCH_SETPOINT_RELATIVE": "mw_delta",
    "CONSUMPTION_POWER_LIMIT": "mw_cap",
    "IMPORT_CAPACITY_LIMIT": "mw_cap",
}
MW_OF = {"W": 1e-6, "KW": 1e-3, "MW": 1.0, "GW": 1e3}
ENDLESS = "P9999Y"
DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
TIMEOUT_S, PAGE, RENEWED_BEFORE_S = 10.0, 50, 30.0


def minutes_of(duration: str) -> float | None:
    """An ISO 8601 duration in minutes; None for one without an end. Raises ValueError."""
    if duration == ENDLESS:
        return None
    found = DURATION.fullmatch(duration)
    if not found or not any(found.groups()):
        raise ValueError(f"{duration!r} is not a duration such as PT15M")
    weeks, days, hours, minutes, seconds = (float(part or 0.0) for part in found.groups())
    return ((weeks * 7 + days) * 24 + hours) * 60 + minutes + seconds / 60.0


def calls_of(event: Mapping[str, Any], obligation: str) -> list[Document]:
    """The calls of an event, one for each interval that asks for a reduction. Raises UNREADABLE for an event that cannot be
    translated."""
    if not (name := _name(event)):
        raise ValueError("an event needs an id")
    units = {d["payloadType"]: d.get("units") or "KW" for d in event.get("payloadDescriptors") or ()}
    period = event.get("intervalPeriod") or {}
    start = parse_instant(period["start"]) if period.get("start") else None
    shared = {"obligation": obligation, "kind": "deploy", "source": "OpenADR 3", "authority": str(event.get("eventName") or "")[:500]}
    out: list[Document] = []
    for n, interval in enumerate(event["intervals"]):
        own = interval.get("intervalPeriod") or {}
        start = parse_instant(own["start"]) if own.get("start") else start
        minutes = minutes_of(own.get("duration") or period.get("duration") or ENDLESS)
        if start is None:
            raise ValueError("no interval says when it starts")
        if (figure := _figure(interval["payloads"], units)) is not None:
            id_ = name + (f"#{n + 1}" if n else "")
            out.append({"id": id_, **shared, **figure, **call_times(start, minutes)})
        start = start + timedelta(minutes=minutes) if minutes else start
    return out


def _figure(payloads: Sequence[Mapping[str, Any]], units: Mapping[str, str]) -> dict[str, float] | None:
    """The megawatts that an interval asks for; None where it asks for no reduction."""
    found = [(p["type"], float(p["values"][0])) for p in payloads if p["type"] == "SIMPLE" or p["type"] in FIGURES]
    if len(found) != 1:
        raise ValueError(f"an interval needs one payload of SIMPLE, {', '.join(FIGURES)}; it has {len(found)}")
    kind, value = found[0]
    if kind == "SIMPLE":
        return {"mw_cap": 0.0} if value > 0 else None
    unit = units.get(kind, "KW").upper()
    if unit not in MW_OF:
        raise ValueError(f"{kind} is in {unit}, which is not a unit of power")
    return {FIGURES[kind]: (abs(value) if kind.endswith("RELATIVE") else value) * MW_OF[unit]}


def _name(event: Any) -> str:
    """The id of an event; empty where it has none."""
    name = event.get("id") if isinstance(event, Mapping) else None
    return "" if name is None else str(name)


def _has_begun(event: Mapping[str, Any], now: datetime) -> bool:
    """Whether the load is reported for an event already; also for one whose newest content cannot be read, which is in force as before."""
    try:
        start = (event.get("intervalPeriod") or {}).get("start")
        return not start or parse_instant(start) <= now
    except UNREADABLE:
        return True


class OpenAdr3Ven:
    """Polls the VTN at `url` as the VEN `ven`, every `poll_s` wall seconds; only events of `program` where one is named. An answer is
    waited for `timeout_s`."""

    timeout_s = TIMEOUT_S

    def __init__(
        self, url: str, ven: str, credentials: tuple[str, str] | None, program: str | None, poll_s: float, obligation: str
    ) -> None:
        self._url, self._ven, self._credentials = url, ven, credentials
        self._program, self._poll_s, self._obligation = program, poll_s, obligation
        self._token, self._renew_at_s = "", 0.0
        self._reports: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    async def run(self, site: SiteSide) -> None:
        """Poll until cancelled. Raises LinkFault when the VTN refuses us; one that does not answer is asked again."""
        async with httpx.AsyncClient(base_url=self._url, timeout=self.timeout_s, trust_env=False) as http:
            while True:
                try:
                    events = await self._events(http)
                    site.heard()
                    self._obey(events, site)
                    await self._report(http, events, site)
                except httpx.HTTPStatusError as fault:
                    raise LinkFault(f"the VTN answers {fault.response.status_code} to {fault.request.url.path}") from fault
                except (httpx.HTTPError, ValueError) as fault:
                    log.warning("the VTN does not answer", url=self._url, error=repr(fault))
                await asyncio.sleep(self._poll_s)

    async def _events(self, http: httpx.AsyncClient) -> list[dict[str, Any]]:
        """All events, page by page. Raises httpx.HTTPError, ValueError."""
        found: list[dict[str, Any]] = []
        while True:
            asked = {"skip": len(found), "limit": PAGE} | ({"programID": self._program} if self._program else {})
            page = await self._ask(http, "GET", "/events", params=asked)
            if not isinstance(page, list):
                raise ValueError("the VTN's events are not a list")
            found += page
            if len(page) < PAGE:
                return found

    async def _ask(self, http: httpx.AsyncClient, method: str, path: str, **more: Any) -> Any:
        if self._credentials and wall_s() >= self._renew_at_s:
            client, secret = self._credentials
            form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
            granted = (await http.post("/auth/token", data=form)).raise_for_status().json()
            self._token = str(granted["access_token"])
            self._renew_at_s = wall_s() + max(1.0, float(granted.get("expires_in") or 3600.0) - RENEWED_BEFORE_S)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return (await http.request(method, path, headers=headers, **more)).raise_for_status().json()

    def _obey(self, events: Sequence[Any], site: SiteSide) -> None:
        """Take up the events, and take back the calls of those that are listed no more. What an event asked for stays in force while its
        newest content is not taken up; nothing is taken back while an event does not say which one it is."""
        wanted: set[str] = set()
        all_named = True
        for event in events:
            try:
                calls = calls_of(event, self._obligation)
                answers = site.receive(calls) if calls else []
                why = next((a.refused for a in answers if a.refused), "")
            except UNREADABLE as fault:
                calls, why = [], repr(fault)
            wanted |= {str(call["id"]) for call in calls}
            name = _name(event)
            all_named &= bool(name)
            if why:
                wanted |= {id_ for id_ in site.open_ids() if id_ == name or id_.startswith(f"{name}#")}
                if self._refused.get(name) != why:
                    log.error("an OpenADR event was not taken up", event_id=name, why=why)
                    self._refused[name] = why
        for gone in site.open_ids() - wanted if all_named else ():
            site.receive([{"id": gone, "obligation": self._obligation, "kind": "recall", "source": "OpenADR 3"}])

    async def _report(self, http: httpx.AsyncClient, events: Sequence[Any], site: SiteSide) -> None:
        """The load, kW, for each event that began: one report, updated. Raises httpx.HTTPError."""
        telemetry = site.telemetry()
        if telemetry is None:
            return
        for event in events:
            name = _name(event)
            if name not in site.open_ids() or not _has_begun(event, wall_now()):
                continue
            report = self._report_document(event, telemetry.load_mw * 1000.0, telemetry.at)
            known = self._reports.get(name)
            answer = await self._ask(http, "PUT" if known else "POST", f"/reports/{known}" if known else "/reports", json=report)
            self._reports[name] = known or str(answer["id"])

    def _report_document(self, event: Mapping[str, Any], load_kw: float, at: datetime) -> dict[str, Any]:
        reading = {"id": 0, "payloads": [{"type": "DEMAND", "values": [load_kw]}]}
        period = {"start": at.astimezone(UTC).isoformat(), "duration": "PT0S"}
        resource = {"resourceName": self._ven, "intervalPeriod": period, "intervals": [reading]}
        return {
            "objectType": "REPORT",
            "programID": event.get("programID"),
            "eventID": event["id"],
            "clientName": self._ven,
            "reportName": f"load during {event['id']}",
            "payloadDescriptors": [{"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "DEMAND", "units": "KW"}],
            "resources": [resource],
        }
