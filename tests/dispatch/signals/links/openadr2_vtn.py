"""openleadr's own VTN, in the environment of the OpenADR 2.0b link: run as a file, it takes orders as JSON lines and says what it heard.

Orders: {"event": {"id", "kind", "kw", "minutes"}}, {"cancel": id}. Says {"ready": true}, {"opt": ..., "id": ...} and {"load_kw": ...}.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from openleadr import OpenADRServer
from openleadr.objects import ActivePeriod, Event, EventDescriptor, EventSignal, Interval, Target

VEN = "ven-of-the-site"


def say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def event_of(order: dict[str, Any]) -> Event:
    """An event that begins now."""
    start, over = datetime.now(UTC), timedelta(minutes=order["minutes"])
    signal = EventSignal(
        intervals=[Interval(dtstart=start, duration=over, signal_payload=order["kw"])],
        signal_name=order.get("name", "LOAD_DISPATCH"),
        signal_type=order["kind"],
        signal_id="signal",
    )
    head = EventDescriptor(
        event_id=order["id"], modification_number=order.get("modification", 0), modification_date_time=start, event_status="active",
        market_context="http://desk", created_date_time=start,
    )  # fmt: skip
    period = ActivePeriod(dtstart=start, duration=over)
    return Event(event_descriptor=head, event_signals=[signal], targets=[Target(ven_id=VEN)], active_period=period)


async def main() -> None:
    host, port = sys.argv[1:3]
    server = OpenADRServer(
        vtn_id="VTN", http_host=host, http_port=int(port), show_fingerprint=False, requested_poll_freq=timedelta(seconds=1)
    )

    async def registered(info: dict[str, Any]) -> tuple[str, str]:
        return VEN, "registration"

    async def reports(
        ven_id: str, resource_id: str, measurement: str, unit: str, scale: str, min_sampling_interval: Any, max_sampling_interval: Any
    ) -> tuple[Any, timedelta]:
        async def took(data: list[tuple[datetime, float]]) -> None:
            say({"load_kw": data[-1][1]})

        return took, timedelta(seconds=1)

    server.add_handler("on_create_party_registration", registered)
    server.add_handler("on_register_report", reports)
    await server.run()
    say({"ready": True})
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    async def opted(ven_id: str, event_id: str, opt_type: str) -> None:
        say({"opt": opt_type, "id": event_id})

    while line := await lines.readline():
        order = json.loads(line)
        if "event" in order:
            events = server.events.get(VEN, [])
            server.events[VEN] = [e for e in events if e.event_descriptor.event_id != order["event"]["id"]]
            server.add_raw_event(ven_id=VEN, event=event_of(order["event"]), callback=opted)
        elif "cancel" in order:
            server.cancel_event(VEN, order["cancel"])


asyncio.run(main())
