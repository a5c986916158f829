"""As much HTTP/1.1 as rigs speak, both roles: messages with a Content-Length, and digest authentication (RFC 9112, RFC 7616 with MD5)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from dispatch.rigs.wire.line import MAX_REQUEST, WireError

_END = b"\r\n\r\n"
_PART = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a client asks; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What a rig answers; header names in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def complete(data: bytes) -> int:
    """How many bytes the first whole message is; 0 while it has not arrived. Raises WireError when none can come of it any more."""
    end = data.find(_END)
    if end < 0:
        if len(data) > MAX_REQUEST or (data and not data[:1].isalpha()) or b"\0" in data:
            raise WireError("not HTTP")
        return 0
    headers = _headers(data[:end])
    if "transfer-encoding" in headers:
        raise WireError("rigs take no chunked bodies")
    size = headers.get("content-length", "0")
    if not size.isdecimal() or int(size) > MAX_REQUEST:
        raise WireError("the body is too long")
    whole = end + len(_END) + int(size)
    return whole if len(data) >= whole else 0


def request(method: str, path: str, host: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Client: ask."""
    head = {"Host": host, **(headers or {}), "Content-Length": str(len(body))}
    return _message(f"{method} {path} HTTP/1.1", head, body)


def parse_request(data: bytes) -> HttpRequest:
    """Server: what is asked. Raises WireError."""
    head, body = _split(data)
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise WireError("not a request line")
    return HttpRequest(words[0], words[1], _headers(head), body)


def response(answer: Response) -> bytes:
    """Server: an answer as bytes; the connection stays open for another request."""
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    head = {**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "keep-alive"}
    return _message(f"HTTP/1.1 {answer.status} {phrase}", head, answer.body)


def parse_response(data: bytes) -> Response:
    """Client: the rig's answer. Raises WireError."""
    head, body = _split(data)
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise WireError("not a status line")
    return Response(int(words[1]), body, _headers(head))


def challenge(realm: str, nonce: str) -> str:
    """Server: the WWW-Authenticate header of a 401."""
    return f'Digest realm="{realm}", nonce="{nonce}", qop="auth"'


def authorization(user: str, password: str, asked: HttpRequest, challenged: str, cnonce: str) -> str:
    """Client: the Authorization header that answers a challenge."""
    parts = _parts(challenged)
    realm, nonce = parts.get("realm", ""), parts.get("nonce", "")
    answer = _answer(user, password, realm, nonce, asked.method, asked.path, "00000001", cnonce)
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{asked.path}", qop=auth, nc=00000001,'
        f' cnonce="{cnonce}", response="{answer}"'
    )


def authorized(asked: HttpRequest, user: str, password: str, realm: str, nonce: str) -> bool:
    """Server: whether a request proves that it knows the password."""
    parts = _parts(asked.headers.get("authorization", ""))
    if parts.get("username") != user or parts.get("realm") != realm or parts.get("nonce") != nonce or parts.get("uri") != asked.path:
        return False
    return parts.get("response") == _answer(
        user, password, realm, nonce, asked.method, asked.path, parts.get("nc", ""), parts.get("cnonce", "")
    )


def _answer(user: str, password: str, realm: str, nonce: str, method: str, uri: str, nc: str, cnonce: str) -> str:
    secret, what = _md5(f"{user}:{realm}:{password}"), _md5(f"{method}:{uri}")
    return _md5(f"{secret}:{nonce}:{nc}:{cnonce}:auth:{what}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _parts(header: str) -> dict[str, str]:
    return {name.lower(): quoted or bare for name, quoted, bare in _PART.findall(header)}


def _message(first: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + _END + body


def _split(data: bytes) -> tuple[bytes, bytes]:
    head, end, body = data.partition(_END)
    if not end:
        raise WireError("not HTTP")
    return head, body


def _headers(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = text.partition(":")
        if not colon:
            raise WireError("not a header")
        found[name.strip().lower()] = value.strip()
    return found
