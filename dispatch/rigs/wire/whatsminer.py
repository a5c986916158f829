"""Whatsminer API v2 on the wire, both roles: bytes in, requests and replies out. No sockets, no clock, no randomness.

A client opens TCP 4028, writes one JSON object, and reads until the rig closes. Reads are plain: {"cmd": "summary"}; several may be
joined, {"command": "summary+pools"}. Writes are encrypted:

  get_token  -> {"STATUS": "S", "Code": 134, "Msg": {"time", "salt", "newsalt"}}
  key        =  md5crypt(password, salt)            its 22 characters after the salt
  sign       =  md5crypt(key + time, newsalt)       likewise; this is the token
  AES-256-ECB with sha256(key) over the zero-padded JSON {"cmd": ..., "token": sign, ...}, base64, in {"enc": 1, "data": ...}

and so is their answer: {"enc": base64}. A rig whose write interface was never opened answers code 45 to every write. Source: MicroBT,
"WhatsMiner API" v2.0.x; checked against the codec of pyasic in the tests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from dispatch.rigs.wire.line import WireError, figure, parse, write
from dispatch.rigs.wire.md5crypt import md5crypt

PORT = 4028
TOKEN_LIFE_S = 1800.0

READS = frozenset({
    "summary", "devs", "edevs", "devdetails", "version", "get_version", "pools", "status", "get_psu", "get_miner_info", "get_error_code",
})  # fmt: skip
WRITES = frozenset({
    "power_off", "power_on", "adjust_power_limit", "set_low_power", "set_normal_power", "set_high_power", "set_power_pct",
    "restart_btminer", "reboot", "update_pools",
})  # fmt: skip
NO_LIMIT_W = 99_999


class WhatsminerCode(IntEnum):
    """Reply codes of the maker's document."""

    READ_OK = 11
    INVALID = 14
    NO_WRITE = 45
    OK = 131
    FAILED = 132
    TOKEN = 134
    TOKEN_WRONG = 135
    TOKEN_OVER = 136


@dataclass(frozen=True, slots=True)
class WhatsminerRequest:
    """What a client asks: command names (one, or several joined reads), the other fields, and the token of an encrypted request."""

    commands: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets that both sides derive from a password and a rig's `get_token` answer."""

    sign: str
    key: str

    @property
    def aes(self) -> bytes:
        """The AES key: SHA-256 of `key`, 32 bytes."""
        return hashlib.sha256(self.key.encode()).digest()


@lru_cache(maxsize=65_536)
def keys(password: str, time: str, salt: str, newsalt: str) -> Keys:
    """The token and the cipher's key; cached, because md5crypt is slow by design."""
    key = md5crypt(password.encode(), salt.encode())
    return Keys(md5crypt((key + time).encode(), newsalt.encode()), key)


def read_request(*commands: str) -> bytes:
    """Client: ask for reads."""
    return json.dumps({"cmd": "+".join(commands)}).encode()


def write_request(known: Keys, command: str, **params: Any) -> bytes:
    """Client: order something, encrypted."""
    plain = {"cmd": command, "token": known.sign, **params}
    return json.dumps({"enc": 1, "data": _encrypt(known.aes, json.dumps(plain))}).encode()


def parse_reply(data: bytes, known: Keys | None = None) -> dict[str, Any]:
    """Client: the rig's answer, decrypted when it is encrypted. Raises WireError."""
    document = parse(data)
    if "enc" not in document:
        return document
    if known is None:
        raise WireError("an encrypted answer to a plain question")
    return parse(_decrypt(known.aes, document["enc"]))


def parse_request(data: bytes, known: Keys | None) -> WhatsminerRequest:
    """Server: what the client asks; `known` are the keys of the last token handed out, if any. Raises WireError."""
    document = parse(data)
    token: str | None = None
    if "enc" in document:
        if known is None:
            raise WireError("encrypted, but no token was asked for")
        document = parse(_decrypt(known.aes, document.get("data")))
        token = str(document.pop("token", ""))
    name = document.pop("cmd", None) or document.pop("command", None)
    if not isinstance(name, str) or not name:
        raise WireError("no command")
    document.pop("command", None)
    return WhatsminerRequest(tuple(name.split("+")), document, token)


def reply(document: Mapping[str, Any], known: Keys | None = None) -> bytes:
    """Server: an answer as bytes, encrypted when `known` is given."""
    if known is None:
        return write(document) + b"\0"
    return write({"enc": _encrypt(known.aes, write(document).decode())})


def figures(summary: Mapping[str, Any]) -> tuple[float, float]:
    """Client: wall watts and TH/s of a `summary`. Raises WireError when either is missing: half a reading proves nothing."""
    try:
        row = summary["SUMMARY"][0]
        mhs = next(row[k] for k in ("HS RT", "MHS 1m", "MHS av") if k in row)
        return figure(row["Power"]), figure(mhs) / 1e6
    except (LookupError, TypeError, StopIteration):
        raise WireError("no watts or no hashrate in this summary") from None


def status(letter: str, code: WhatsminerCode, message: Any, when: int) -> dict[str, Any]:
    """Server: the flat status most v2 answers are. `letter` is S, I, W or E; `when` epoch seconds of the rig's clock."""
    return {"STATUS": letter, "When": when, "Code": int(code), "Msg": message, "Description": ""}


def ok(when: int) -> dict[str, Any]:
    """Server: the order was accepted."""
    return status("S", WhatsminerCode.OK, "API command OK", when)


def refused(when: int) -> dict[str, Any]:
    """Server: the write interface is closed."""
    return status("E", WhatsminerCode.NO_WRITE, "can't access write cmd", when)


def invalid(when: int) -> dict[str, Any]:
    """Server: the command is not known."""
    return status("E", WhatsminerCode.INVALID, "invalid cmd", when)


def stale_token(when: int) -> dict[str, Any]:
    """Server: the token is not valid, or not valid any more."""
    return status("E", WhatsminerCode.TOKEN_OVER, "token over", when)


def token_answer(time: str, salt: str, newsalt: str, when: int) -> dict[str, Any]:
    """Server: the salts and the time of a new token."""
    return status("S", WhatsminerCode.TOKEN, {"time": time, "salt": salt, "newsalt": newsalt}, when)


def _encrypt(aes: bytes, text: str) -> str:
    plain = text.encode()
    cipher = Cipher(algorithms.AES(aes), modes.ECB()).encryptor()
    return base64.b64encode(cipher.update(plain + b"\0" * (-len(plain) % 16)) + cipher.finalize()).decode()


def _decrypt(aes: bytes, text: Any) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise WireError("not base64") from None
    if not data or len(data) % 16:
        raise WireError("not whole cipher blocks")
    cipher = Cipher(algorithms.AES(aes), modes.ECB()).decryptor()
    return (cipher.update(data) + cipher.finalize()).rstrip(b"\0")
