"""The gate in front of the API: who may ask what. It answers before a body is read or parsed.

On loopback, reading and what-if need no key; the Host header must name this machine, or a page elsewhere could reach it through a name of
its own (DNS rebinding). Everything else needs a key of the scope: `Authorization: Bearer KEY` or `X-API-Key: KEY`; a browser may send it as
the password of HTTP Basic, for reading and what-if only.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Collection
from typing import Any, Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatch.web.errors import Refusal, problem

MAX_BODY = 1_000_000
WRITES = ("/api/v1/calls", "/api/v1/awards", "/api/v1/holds")
HOLD = "/api/v1/holds/"
IMAGINED = ("/api/v1/what-if", "/api/v1/what-if/sweep", "/api/v1/offers")
OPEN = ("/api/v1/health/",)
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
HARDENING = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Key(Protocol):
    """A known API key."""

    @property
    def name(self) -> str: ...

    @property
    def scopes(self) -> Collection[str]: ...


Check = Callable[[str], Key | None]


def scope_needed(method: str, path: str) -> str | None:
    """The scope a request needs off loopback; None where anyone may ask (health) or nothing is served (the app answers 404 or 405)."""
    if any(path.startswith(p) for p in OPEN):
        return None
    if method in ("GET", "HEAD"):
        return "read"
    if method == "POST" and path in IMAGINED:
        return "whatif"
    pushed = path in WRITES if method == "POST" else method == "DELETE" and path.startswith(HOLD)
    return "dispatch" if pushed else None


def allows(key: Key, scope: str) -> bool:
    """Whether a key's scopes reach; admin reaches everything, and whoever may dispatch or ask what-if may read."""
    return "admin" in key.scopes or scope in key.scopes or (scope == "read" and bool({"whatif", "dispatch"} & set(key.scopes)))


class Gate:
    """ASGI middleware: Host, Origin, key, media type and size of body; then the headers that harden a page."""

    def __init__(self, app: ASGIApp, check: Check, hosts: Collection[str]) -> None:
        self.app, self.check = app, check
        self.hosts = {"127.0.0.1", "localhost", "::1", *(h.lower().strip("[]") for h in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {k.lower() for k, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in HARDENING.items() if k.encode() not in have),
                ]
            await send(message)

        try:
            scope.setdefault("state", {})["key"] = self._admit(scope)
            body = await self._body(scope, receive)
        except Refusal as refusal:
            await problem(refusal.status, refusal.detail, refusal.faults, refusal.headers)(scope, receive, hardened)
            return
        await self.app(scope, body, hardened)

    def _admit(self, scope: Scope) -> Key | None:
        """The key that the request came with, if any. Raises Refusal."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        self._same_machine(headers, scope)
        need = scope_needed(method, path)
        try:
            secrets, basic = _secrets(headers)
        except ValueError as error:
            raise _unknown(str(error), need) from None
        keys = [self.check(secret) for secret in secrets]
        if None in keys:
            raise _unknown("This key is not known, or was revoked", need)
        key = keys[0] if keys else None
        if need is None or (key is None and need in ("read", "whatif") and _loopback(scope, headers)):
            return key
        if key is None:
            raise _unknown(f"This needs a key with scope {need}: loadstone keys add NAME --scope {need}", need)
        if basic and need not in ("read", "whatif"):
            raise Refusal(403, "A key sent as HTTP Basic may read and ask what-if; send it as Authorization: Bearer KEY or X-API-Key: KEY")
        if not allows(key, need):
            raise Refusal(403, f"Key {key.name!r} has no scope {need}; it has {', '.join(sorted(key.scopes)) or 'none'}")
        return key

    def _same_machine(self, headers: Headers, scope: Scope) -> None:
        host = _hostname(headers.get("host", ""))
        if host not in self.hosts:
            raise Refusal(403, f"The Host header says {headers.get('host', '')[:100]!r}; this is {', '.join(sorted(self.hosts))}")
        origin = headers.get("origin")
        if origin and scope["method"] not in ("GET", "HEAD") and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise Refusal(403, f"A page of {origin[:100]!r} may not ask this")

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """The body, read whole within the limit, to be received again. Raises Refusal."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            raise Refusal(413, f"A body may have {MAX_BODY} bytes at most")
        body = await _read(receive)
        media = headers.get("content-type", "").split(";")[0].strip().lower()
        if body and media != "application/json":
            raise Refusal(
                415, f"Send application/json, not {media[:80] or 'an unnamed media type'}", headers={"Accept": "application/json"}
            )
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        return again


async def _read(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            raise Refusal(413, f"A body may have {MAX_BODY} bytes at most")
        more = message.get("more_body", False)
    return b"".join(parts)


def _secrets(headers: Headers) -> tuple[list[str], bool]:
    """The keys a request carries, and whether one came as HTTP Basic. Raises ValueError when they cannot be read, or differ."""
    given = headers.get("x-api-key")
    found = [given.strip()] if given is not None else []
    kind, _, rest = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and rest.strip():
        found.append(rest.strip())
    elif kind.lower() == "basic":
        try:
            found.append(base64.b64decode(rest, validate=True).decode().partition(":")[2])
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("Authorization: Basic is not name:key in base64") from None
    elif kind:
        raise ValueError("Authorization is neither Bearer KEY nor Basic")
    if len(set(found)) > 1:
        raise ValueError("Authorization and X-API-Key are two different keys: send one")
    return found, kind.lower() == "basic"


def _unknown(detail: str, need: str | None) -> Refusal:
    kind = 'Basic realm="loadstone", charset="UTF-8"' if need == "read" else 'Bearer realm="loadstone"'
    return Refusal(401, detail, headers={"WWW-Authenticate": kind})


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _loopback(scope: Scope, headers: Headers) -> bool:
    """Whether the asker is on this machine; behind a proxy nobody is."""
    client: Any = scope.get("client")
    if not client or any(name in headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
