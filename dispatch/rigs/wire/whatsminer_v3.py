"""Whatsminer API v3 on the wire, both roles. Firmware from November 2024 on speaks it on TCP 4433, beside the reads of v2 on 4028.

Each message, both ways, is a length of 4 bytes, little-endian, and that much JSON. Reads: {"cmd": "get.miner.status", "param": "summary"}.
Writes carry {"ts": epoch seconds, "account": "super", "token"}, where token is the first 8 characters of
base64(sha256(cmd + password + salt + ts)) and the salt is that of {"cmd": "get.device.info", "param": "salt"}.
Answers: {"code", "when", "msg", "desc"}. Source: MicroBT, "WhatsMiner API" v3; checked against pyasic's codec in the tests.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dispatch.rigs.wire.line import MAX_REQUEST, WireError, figure, parse, write

PORT = 4433
ACCOUNT = "super"
_HEAD = struct.Struct("<I")


class WhatsminerV3Code(IntEnum):
    """Reply codes of the maker's document."""

    OK = 0
    FAILED = -1
    INVALID = -2
    NO_PERMISSION = -4


@dataclass(frozen=True, slots=True)
class WhatsminerV3Request:
    """What a client asks; `token` and `ts` with orders only."""

    command: str
    param: Any = None
    token: str = ""
    ts: int = 0


def complete(data: bytes) -> int:
    """The length of the first message in bytes, 0 until all of it has arrived. Raises WireError when the data cannot become a message."""
    if len(data) < _HEAD.size:
        return 0
    whole = _HEAD.size + int(_HEAD.unpack_from(data)[0])
    if whole > MAX_REQUEST:
        raise WireError("the request is too long")
    return whole if len(data) >= whole else 0


def token(command: str, password: str, salt: str, ts: int) -> str:
    """What proves that an order's sender knows the password."""
    digest = hashlib.sha256(f"{command}{password}{salt}{ts}".encode()).digest()
    return base64.b64encode(digest)[:8].decode()


def read_request(command: str, param: Any = None) -> bytes:
    """Client: ask for a read."""
    return framed({"cmd": command, "param": param})


def write_request(command: str, param: Any, password: str, salt: str, ts: int) -> bytes:
    """Client: order something; `ts` epoch seconds."""
    return framed({"cmd": command, "param": param, "ts": ts, "account": ACCOUNT, "token": token(command, password, salt, ts)})


def parse_request(data: bytes) -> WhatsminerV3Request:
    """Server: what a whole message asks. Raises WireError."""
    document = parse(data[_HEAD.size :])
    command, ts = document.get("cmd"), document.get("ts") or 0
    if not isinstance(command, str) or not isinstance(ts, int):
        raise WireError("no command")
    return WhatsminerV3Request(command, document.get("param"), str(document.get("token") or ""), ts)


def reply(command: str, code: WhatsminerV3Code, message: Any, when: int) -> bytes:
    """Server: an answer as bytes; `when` epoch seconds of the rig's clock."""
    return framed({"code": int(code), "when": when, "msg": message, "desc": command})


def framed(document: Mapping[str, Any]) -> bytes:
    """A message, either way."""
    body = write(document)
    return _HEAD.pack(len(body)) + body


def parse_reply(data: bytes) -> dict[str, Any]:
    """Client: the answer of a whole message. Raises WireError."""
    return parse(data[_HEAD.size :])


def figures(status: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of a `get.miner.status` of `summary`. Raises WireError when either is missing."""
    try:
        row = status["msg"]["summary"]
        return figure(row["power-realtime"]), figure(row["hash-realtime"])
    except (LookupError, TypeError):
        raise WireError("no watts or no hashrate in this status") from None
