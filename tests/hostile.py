"""`python -m tests.hostile [INPUTS]`: hostile inputs to every parser of the API, the links, the rigs' wire and the imports, in this
process: a million by default, at least 50,000 each. Each is read or refused as its parser promises; of
OpenADR events only that nothing else is raised is looked at."""

from __future__ import annotations

import copy
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dispatch.imports import UnreadableDocument
from dispatch.imports.calendar import read_calendar
from dispatch.imports.detect import read_meter_file, read_statement_file
from dispatch.rigs.wire import antminer, auradine, avalon, braiins, cgminer, epic, http, luxos, proto, vnish, whatsminer, whatsminer_v3
from dispatch.rigs.wire.line import WireError
from dispatch.signals.documents import InvalidDocument, documents_in_file, parse_award, parse_call, parse_hold
from dispatch.signals.links import openadr2, openadr3
from dispatch.signals.links.link import Answer
from dispatch.signals.links.modbus import written_mw
from dispatch.signals.links.webhook import Webhook
from markets.grid import Market
from tests.dispatch.imports.test_any_bytes import MAPS, SEEDS, SITE
from tests.fakes import NOON
from tests.sites import small

INPUTS, LEAST = 1_000_000, 50_000
SETUP = small()
WORDS = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, float("nan"), float("inf"), 2**64, 10**400, [], {}, [[]], {"": None}),
    *("", "0", "NaN", "-1e999", "\x00", "\ud800", "\u0669", "a" * 300, "P9999Y", "PT1e9S", "PT0S"),
    *("2026-08-20T17:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"),
)
PIECES = (b"", b"\xff\xfe", b"NaN", b"-1e999", b"9" * 20, b"<", b"&x;", b'"', b",,", b"{", b"[" * 200, b"}", b"\x00", b"null")
OVER = {"start_at": "2026-08-20T17:00:00Z", "end_at": "2026-08-20T18:00:00Z"}
CALL = {"id": "c", "obligation": "plant", "kind": "deploy", "mw_cap": 0.1, **OVER}
SOLD = {"obligation": "plant", "product": "ECRS", "market": "DAM", "mw": 0.1, "mcpc_usd_per_mw_h": 5.0}
AWARD = {**SOLD, "interval_start": "2026-08-20T17:00:00Z", "interval_end": "2026-08-20T18:00:00Z"}
HOLD = {"id": "h", "group": "a-old", "mode": "sleep", "until": "2026-08-20T18:00:00Z", "by": "anna"}
EVENT_2 = {
    "event_descriptor": {"event_id": "e", "modification_number": 0, "event_status": "far", "market_context": "m", "test_event": "false"},
    "event_signals": [
        {
            "signal_name": "LOAD_DISPATCH",
            "signal_type": "setpoint",
            "measurement": {"unit": "W", "scale": "k"},
            "intervals": [{"signal_payload": 100.0, "dtstart": "2026-08-20T17:00:00Z", "duration": 900}],
        }
    ],
}
EVENT_3 = {
    "id": "e",
    "eventName": "n",
    "payloadDescriptors": [{"payloadType": "DISPATCH_SETPOINT", "units": "KW"}],
    "intervalPeriod": {"start": "2026-08-20T17:00:00Z", "duration": "PT15M"},
    "intervals": [{"id": 0, "payloads": [{"type": "SIMPLE", "values": [1.0]}]}],
}
SUMMARY = {
    "STATUS": [{"STATUS": "S", "Code": 11, "Msg": "ok"}],
    "SUMMARY": [{"GHS 5s": 100_000.0, "Power": 3000.0, "MHS av": 1e8}],
    "POWER": [{"Watts": 3000}],
    "STATS": [{"GHS 5s": 1.0, "chain_power": "3000 W"}],
    "PROFILES": [{"Profile Name": "p", "Watts": 3000}],
    "SESSION": [{"SessionID": "s"}],
    "Msg": {"power": 3000, "hash-realtime": 100.0, "summary": {"power-realtime": 3000, "hash-realtime": 100.0}},
}
PAGE = {
    "miner": {"power_consumption": 3000, "hr_realtime": 100.0, "miner_status": {"miner_state": "mining"}},
    "power_stats": {"approximated_consumption": {"watt": 1}},
    "miner_stats": {"real_hashrate": {"last_5s": {"gigahash_per_second": 1.0}}},
    "Status": {"Operating State": "Mining"},
    "Power Supply Stats": {"Input Power": 3000.0},
    "HBs": [{"Hashrate": [1.0]}],
    "mining-status": {"power_usage_watts": 3000.0, "hashrate_ghs": 1.0},
    "PSU": [{"PowerIn": 3000}],
    "bitmain-work-mode": 0,
}
AVALON = b"PS[0 1 2 3000 4 5] GHSspd[100.0] WALLPOWER[3000]"
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser with what it may raise, and an endless supply of hostile inputs."""

    name: str
    parse: Callable[[Any], Any]
    raises: tuple[type[Exception], ...]
    inputs: Callable[[random.Random], Any]


class CallTaker:
    """A site behind a webhook that takes every call that can be read."""

    def receive(self, documents: Any) -> list[Answer]:
        """As the site does."""
        try:
            for document in documents:
                parse_call(document, SETUP.book, NOON)
        except InvalidDocument as fault:
            return [Answer(refused=str(fault)) for _ in documents]
        return [Answer() for _ in documents]


def twisted(dice: random.Random, document: Any) -> Any:
    """A document with one to three of its values, keys or items replaced, doubled or left out."""
    made = json.loads(json.dumps(document))
    for _ in range(dice.randint(1, 3)):
        place = dice.choice(list(_places(made)) or [None])
        if place is None:
            return _word(dice)
        parent, key = place
        what = dice.random()
        if what < 0.7:
            parent[key] = _word(dice)
        elif what < 0.85 and isinstance(parent, dict):
            parent.pop(key)
            parent[str(_word(dice))[:50]] = _word(dice)
        elif isinstance(parent, list):
            parent.append(parent[key])
        else:
            parent.pop(key)
    return made


def _word(dice: random.Random) -> Any:
    return copy.deepcopy(dice.choice(WORDS))


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield document, key
        yield from _places(document[key])


def cut(dice: random.Random, content: bytes) -> bytes:
    """Bytes of any kind, or sound bytes with a few pieces cut out, doubled or written over."""
    if dice.random() < 0.1:
        return dice.randbytes(dice.randint(0, 200))
    for _ in range(dice.randint(1, 4)):
        at, length = dice.randint(0, len(content)), dice.randint(0, 30)
        piece = content[at : at + length] * 2 if dice.random() < 0.2 else dice.choice(PIECES)
        content = content[:at] + piece + content[at + length :]
    return content


def _of(document: Any) -> Callable[[random.Random], Any]:
    return lambda dice: twisted(dice, document)


def _bytes_of(*contents: bytes) -> Callable[[random.Random], bytes]:
    return lambda dice: cut(dice, dice.choice(contents))


def _line(*reads: Callable[[Any], Any]) -> Callable[[bytes], None]:
    """A parser of a line that then reads figures of it, each refused by itself."""

    def parse(data: bytes) -> None:
        cgminer.status_and_message(cgminer.parse_reply(data))
        for read in reads:
            try:
                read(cgminer.parse_reply(data))
            except WireError:
                continue

    return parse


def _every(*reads: Callable[[Any], Any]) -> Callable[[Any], None]:
    def parse(document: Any) -> None:
        if not isinstance(document, dict):  # a client reads none but objects
            return
        for read in reads:
            try:
                read(document)
            except WireError:
                continue

    return parse


def _webhook() -> Callable[[bytes], Any]:
    hook, desk = Webhook("127.0.0.1:1", "secret", "plant"), CallTaker()

    def parse(body: bytes) -> None:
        if hook._call(desk, body).status_code >= 500:  # type: ignore[arg-type]
            raise AssertionError("an answer of 5xx")

    return parse


def parsers() -> list[Parser]:
    """Every parser."""
    summary, event = json.dumps(SUMMARY).encode(), json.dumps(CALL).encode()
    terms = openadr2.EventTerms("plant", 1.0)
    v3 = whatsminer_v3.framed({"code": 0, "when": 1, "msg": SUMMARY["Msg"], "desc": ""})
    site, wire, unreadable = (InvalidDocument,), (WireError,), (UnreadableDocument,)
    csv = b"id,obligation,kind,mw_cap\nc,plant,deploy,0.1\n"
    lines = (luxos.session, luxos.profiles, luxos.figures, antminer.figures)
    pages = (braiins.figures, vnish.figures, epic.figures, proto.figures, auradine.watts, auradine.ths, antminer.work_mode)

    def text(content: bytes) -> str:
        return content.decode("utf-8", "replace")

    return [
        Parser("API: call", lambda d: parse_call(d, SETUP.book, NOON), site, _of(CALL)),
        Parser("API: award", lambda d: parse_award(d, SETUP.site, SETUP.book, NOON), site, _of(AWARD)),
        Parser("API: hold", lambda d: parse_hold(d, SETUP.site, "anna", NOON), site, _of(HOLD)),
        Parser("files: calls as JSON", lambda b: documents_in_file(text(b), ".json"), site, _bytes_of(event)),
        Parser("files: calls as CSV", lambda b: documents_in_file(text(b), ".csv"), site, _bytes_of(csv)),
        Parser("links: OpenADR 2.0b", lambda d: openadr2.calls_of(d, terms), openadr2.UNREADABLE, _of(EVENT_2)),
        Parser("links: OpenADR 3", lambda d: openadr3.calls_of(d, "plant"), openadr3.UNREADABLE, _of(EVENT_3)),
        Parser("links: webhook", _webhook(), (), _bytes_of(event)),
        Parser("links: Modbus", written_mw, (), lambda dice: [dice.getrandbits(16), dice.getrandbits(16)]),
        Parser("wire: Whatsminer 2", lambda b: whatsminer.figures(whatsminer.parse_reply(b)), wire, _bytes_of(summary)),
        Parser("wire: Whatsminer 3", lambda b: whatsminer_v3.figures(whatsminer_v3.parse_reply(b)), wire, _bytes_of(v3)),
        Parser("wire: LuxOS, Antminer", _line(*lines), wire, _bytes_of(summary)),
        Parser("wire: Avalon", lambda b: avalon.figures(avalon.parse_stats(b.decode("latin-1"))), wire, _bytes_of(AVALON)),
        Parser("wire: pages", _every(*pages), (), _of(PAGE)),
        Parser("wire: HTTP", http.parse_response, wire, _bytes_of(HTTP)),
        Parser("wire: HTTP, complete", http.complete, wire, _bytes_of(HTTP)),
        Parser("imports: meter CSV", lambda b: read_meter_file(b, MAPS[len(b) % 4], SITE), unreadable, _bytes_of(*SEEDS[:2])),
        Parser("imports: Green Button", lambda b: read_meter_file(b, "", SITE), unreadable, _bytes_of(SEEDS[2])),
        Parser("imports: statements", lambda b: read_statement_file(b, MAPS[len(b) % 4], Market.ERCOT), unreadable, _bytes_of(*SEEDS[3:6])),
        Parser("imports: calendars", read_calendar, unreadable, _bytes_of(SEEDS[6])),
    ]


def tried(parser: Parser, inputs: int, seed: int) -> list[str]:
    """Give a parser so many hostile inputs; the first that it did not take as promised."""
    dice, found = random.Random(f"{parser.name} {seed}"), list[str]()
    for n in range(inputs):
        given = parser.inputs(dice)
        try:
            parser.parse(given)
        except parser.raises:
            continue
        except Exception as fault:
            found.append(f"{parser.name}, input {n} of seed {seed}: {fault!r} for {given!r}"[:600])
            if len(found) >= 3:
                break
    return found


def main(arguments: list[str]) -> int:
    inputs = int(arguments[0]) if arguments else INPUTS
    every, wrong = parsers(), list[str]()
    each = -(-inputs // len(every))
    for parser in every:
        began_s = time.monotonic()
        found = tried(parser, each, 0)
        wrong += found
        print(f"{parser.name:32} {each:8d} inputs in {time.monotonic() - began_s:6.1f} s, {len(found)} wrong", flush=True)
    print("\n".join(wrong) or f"{each * len(every)} hostile inputs, each read or refused in words")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
