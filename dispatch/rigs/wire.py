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

PORT = 4028
MAX_REQUEST = 16_384
TOKEN_LIFE_S = 1800.0

READS = frozenset({
    "summary", "devs", "edevs", "devdetails", "version", "get_version", "pools", "status", "get_psu", "get_miner_info", "get_error_code",
})  # fmt: skip
WRITES = frozenset({
    "power_off", "power_on", "adjust_power_limit", "set_low_power", "set_normal_power", "set_high_power", "set_power_pct",
    "restart_btminer", "reboot", "update_pools",
})  # fmt: skip
NO_LIMIT_W = 99_999


class Code(IntEnum):
    """Reply codes of the maker's document."""

    READ_OK = 11
    INVALID = 14
    NO_WRITE = 45
    OK = 131
    FAILED = 132
    TOKEN = 134
    TOKEN_WRONG = 135
    TOKEN_OVER = 136


class WireError(ValueError):
    """These bytes are not what the protocol allows here."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: command names (one, or several joined reads), the other fields, and the token of an encrypted request."""

    commands: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """What both sides make of a password and a rig's `get_token` answer."""

    sign: str
    key: str

    @property
    def aes(self) -> bytes:
        return hashlib.sha256(self.key.encode()).digest()


@lru_cache(maxsize=65_536)
def keys(password: str, time: str, salt: str, newsalt: str) -> Keys:
    """The token and the cipher's key; remembered, because md5crypt is made to be slow."""
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
    document = _object(data)
    if "enc" not in document:
        return document
    if known is None:
        raise WireError("an encrypted answer to a plain question")
    return _object(_decrypt(known.aes, document["enc"]))


def complete(data: bytes) -> bool:
    """Server: whether a whole JSON object has arrived. Raises WireError when none can come of it any more."""
    if len(data) > MAX_REQUEST:
        raise WireError("the request is too long")
    text = data.strip(b"\0 \r\n\t")
    if text[:1] not in (b"", b"{"):
        raise WireError("a request is a JSON object")
    if not text.endswith(b"}"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def parse_request(data: bytes, known: Keys | None) -> Request:
    """Server: what the client asks; `known` are the keys of the last token handed out, if any. Raises WireError."""
    document = _object(data)
    token: str | None = None
    if "enc" in document:
        if known is None:
            raise WireError("encrypted, but no token was asked for")
        document = _object(_decrypt(known.aes, document.get("data")))
        token = str(document.pop("token", ""))
    name = document.pop("cmd", None) or document.pop("command", None)
    if not isinstance(name, str) or not name:
        raise WireError("no command")
    document.pop("command", None)
    return Request(tuple(name.split("+")), document, token)


def reply(document: Mapping[str, Any], known: Keys | None = None) -> bytes:
    """Server: an answer as bytes, encrypted when `known` is given."""
    text = json.dumps(document, separators=(",", ":"))
    if known is None:
        return text.encode() + b"\0"
    return json.dumps({"enc": _encrypt(known.aes, text)}, separators=(",", ":")).encode()


def status(letter: str, code: Code, message: Any, when: int) -> dict[str, Any]:
    """Server: the flat status most v2 answers are. `letter` is S, I, W or E; `when` epoch seconds of the rig's clock."""
    return {"STATUS": letter, "When": when, "Code": int(code), "Msg": message, "Description": ""}


def ok(when: int) -> dict[str, Any]:
    return status("S", Code.OK, "API command OK", when)


def refused(when: int) -> dict[str, Any]:
    return status("E", Code.NO_WRITE, "can't access write cmd", when)


def invalid(when: int) -> dict[str, Any]:
    return status("E", Code.INVALID, "invalid cmd", when)


def stale_token(when: int) -> dict[str, Any]:
    return status("E", Code.TOKEN_OVER, "token over", when)


def token_answer(time: str, salt: str, newsalt: str, when: int) -> dict[str, Any]:
    return status("S", Code.TOKEN, {"time": time, "salt": salt, "newsalt": newsalt}, when)


def _object(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.rstrip(b"\0 \r\n\t"))
    except (ValueError, RecursionError):
        raise WireError("not JSON") from None
    if not isinstance(document, dict):
        raise WireError("not a JSON object")
    return document


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


_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def md5crypt(word: bytes, salt: bytes) -> str:
    """The 22 characters that crypt(3)'s $1$ writes after the salt. Source: FreeBSD, crypt-md5.c (Poul-Henning Kamp)."""
    other = hashlib.md5(word + salt + word, usedforsecurity=False).digest()
    first = word + b"$1$" + salt + (other * (len(word) // 16 + 1))[: len(word)]
    n = len(word)
    while n:
        first += b"\0" if n & 1 else word[:1]
        n >>= 1
    digest = hashlib.md5(first, usedforsecurity=False).digest()
    for n in range(1000):
        mixed = (word if n & 1 else digest) + (salt if n % 3 else b"") + (word if n % 7 else b"") + (digest if n & 1 else word)
        digest = hashlib.md5(mixed, usedforsecurity=False).digest()
    numbers = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _ORDER] + [(digest[11], 2)]
    return "".join(_DIGITS[(value >> 6 * k) & 63] for value, count in numbers for k in range(count))
