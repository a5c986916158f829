"""An OpenADR 2.0b VEN, through openleadr, in an environment of its own: openleadr and gridstatus need different releases of xmltodict.

Run as a file; it imports nothing of Loadstone. One JSON document a line. From the parent: first {"url", "ven", "poll_s"}; then
{"event_id", "opt"} in answer to an event, and {"load_mw"}. To the parent: {"heard": true}, {"event": {...}} and {"fault": text}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime, timedelta
from typing import Any

from openleadr import OpenADRClient
from openleadr.objects import SamplingRate
from openleadr.utils import getmember

ANSWER_WITHIN_S = 8.0


def _plain(value: Any) -> Any:
    """The message as JSON values: instants as ISO 8601, durations in seconds."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def say(document: dict[str, Any]) -> None:
    """Send a line to the parent."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class Ven:
    """The VEN, its newest telemetry, and the answers that the parent has yet to give."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.client = OpenADRClient(settings["ven"], settings["url"], show_fingerprint=False, allow_jitter=False)
        self.poll_s, self.load_kw = float(settings["poll_s"]), 0.0
        self.answers: dict[str, asyncio.Future[str]] = {}
        self.client.add_hook("after_parse_xml", lambda *_: say({"heard": True}))
        for name in ("on_event", "on_update_event"):
            self.client.add_handler(name, self.on_event)
        rates = SamplingRate(min_period=timedelta(seconds=1), max_period=timedelta(minutes=1), on_change=False)
        self.client.add_report(
            self.report, resource_id="site", measurement="powerReal", unit="W", scale="k", sampling_rate=rates,
            report_duration=timedelta(hours=1),
        )  # fmt: skip

    async def report(self) -> float:
        """The load, kW."""
        return self.load_kw

    async def on_event(self, event: Any) -> str:
        """Ask the parent; no answer is an optOut, which tells the VTN that the event is not taken up."""
        event_id = str(getmember(event, "event_descriptor.event_id"))
        answer = self.answers[event_id] = asyncio.get_running_loop().create_future()
        say({"event": _plain(event)})
        try:
            return await asyncio.wait_for(answer, ANSWER_WITHIN_S)
        except TimeoutError:
            return "optOut"

    async def listen(self, lines: asyncio.StreamReader) -> None:
        """Take in what the parent says until it ends."""
        while line := await lines.readline():
            document = json.loads(line)
            if "load_mw" in document:
                self.load_kw = document["load_mw"] * 1000.0
            elif (answer := self.answers.pop(document["event_id"], None)) is not None and not answer.done():
                answer.set_result(document["opt"])

    async def poll(self) -> None:
        """Register, then poll for ever. A VTN that does not answer is asked again; the parent notices its silence."""
        self.client.loop = asyncio.get_running_loop()
        while not self.client.registration_id:
            await self.client.create_party_registration(ven_id=self.client.ven_id)
            if not self.client.registration_id:
                await asyncio.sleep(self.poll_s)
        self.client.scheduler.start()
        await self.client.register_reports(self.client.reports)
        reports = asyncio.create_task(self.client._report_queue_worker())
        await self.client.sync_events()
        while not reports.done():
            await self.client._poll()
            await asyncio.sleep(self.poll_s)


async def main() -> None:
    """Speak until the parent closes our input."""
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    ven = Ven(json.loads(await lines.readline()))
    polling, listening = asyncio.create_task(ven.poll()), asyncio.create_task(ven.listen(lines))
    await asyncio.wait((polling, listening), return_when=asyncio.FIRST_COMPLETED)
    if polling.done() and polling.exception() is not None:
        say({"fault": repr(polling.exception())})


if __name__ == "__main__":
    asyncio.run(main())
