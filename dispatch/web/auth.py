"""Access control of the API. It decides before a body is parsed.

From a loopback address, reading and what-if need no key. The Host header must name this machine: otherwise a foreign page could reach the
site under a host name of its own (DNS rebinding). Everything else needs a key with the scope, sent as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. A browser may send the key as the password of HTTP Basic, for reading and what-if only.
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

MAX_BODY_BYTES = 1_000_000
SIGNAL_PATHS = ("/api/v1/calls", "/api/v1/awards", "/api/v1/holds")
HOLD_PREFIX = "/api/v1/holds/"
WHAT_IF_PATHS = ("/api/v1/what-if", "/api/v1/what-if/sweep", "/api/v1/what-if/break-even", "/api/v1/offers")
OPEN_PREFIXES = ("/api/v1/health/",)
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
SECURITY_HEADERS = {
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
    """The scope a request needs; None where no key is needed (health) or nothing is served (the application answers 404 or 405)."""
    if any(path.startswith(p) for p in OPEN_PREFIXES):
        return None
    if method in ("GET", "HEAD"):
        return "read"
    if method == "POST" and path in WHAT_IF_PATHS:
        return "whatif"
    signal = path in SIGNAL_PATHS if method == "POST" else method == "DELETE" and path.startswith(HOLD_PREFIX)
    return "dispatch" if signal else None


def allows(key: Key, scope: str) -> bool:
    """Whether a key has the scope: `admin` includes all others; `dispatch` and `whatif` include `read`."""
    return "admin" in key.scopes or scope in key.scopes or (scope == "read" and bool({"whatif", "dispatch"} & set(key.scopes)))


class AccessControl:
    """ASGI middleware: checks Host, Origin, key, media type and body size; adds security headers to every answer."""

    def __init__(self, app: ASGIApp, check: Check, hosts: Collection[str]) -> None:
        self.app, self.check = app, check
        self.hosts = {"127.0.0.1", "localhost", "::1", *(h.lower().strip("[]") for h in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {k.lower() for k, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items() if k.encode() not in have),
                ]
            await send(message)

        try:
            scope.setdefault("state", {})["key"] = self._authorize(scope)
            body = await self._body(scope, receive)
        except Refusal as refusal:
            await problem(refusal.status, refusal.detail, refusal.faults, refusal.headers)(scope, receive, with_headers)
            return
        await self.app(scope, body, with_headers)

    def _authorize(self, scope: Scope) -> Key | None:
        """The key the request carries, None when it carries none and needs none. Raises Refusal."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        self._check_host_and_origin(headers, scope)
        need = scope_needed(method, path)
        try:
            secrets, basic = _secrets(headers)
        except ValueError as error:
            raise _unknown(str(error), need) from None
        keys = [self.check(secret) for secret in secrets]
        if None in keys:
            raise _unknown("This key is unknown or was revoked", need)
        key = keys[0] if keys else None
        if need is None or (key is None and need in ("read", "whatif") and _loopback(scope, headers)):
            return key
        if key is None:
            raise _unknown(f"This needs a key with scope {need}: loadstone keys add NAME --scope {need}", need)
        if basic and need not in ("read", "whatif"):
            raise Refusal(403, "HTTP Basic may only read and ask what-ifs; send the key as Authorization: Bearer KEY or X-API-Key: KEY")
        if not allows(key, need):
            raise Refusal(403, f"Key {key.name!r} has no scope {need}; it has {', '.join(sorted(key.scopes)) or 'none'}")
        return key

    def _check_host_and_origin(self, headers: Headers, scope: Scope) -> None:
        host = _hostname(headers.get("host", ""))
        if host not in self.hosts:
            raise Refusal(403, f"The Host header is {headers.get('host', '')[:100]!r}; this is {', '.join(sorted(self.hosts))}")
        origin = headers.get("origin")
        if origin and scope["method"] not in ("GET", "HEAD") and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise Refusal(403, f"A page from {origin[:100]!r} may not send this request")

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """A receive function that yields the body, read already and within the size limit. Raises Refusal."""
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise Refusal(413, f"The body is larger than {MAX_BODY_BYTES:,} bytes")
        body = await _read(receive)
        media = headers.get("content-type", "").split(";")[0].strip().lower()
        if body and media != "application/json":
            raise Refusal(
                415, f"Send application/json, not {media[:80] or 'an unnamed media type'}", headers={"Accept": "application/json"}
            )
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return messages.pop() if messages else await receive()

        return again


async def _read(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise Refusal(413, f"The body is larger than {MAX_BODY_BYTES:,} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)


def _secrets(headers: Headers) -> tuple[list[str], bool]:
    """The keys a request carries, and whether one came as HTTP Basic. Raises ValueError when they are malformed or differ."""
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
        raise ValueError("Authorization and X-API-Key carry two different keys: send one")
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
    """Whether the client is on this machine; a request through a proxy never counts as local."""
    client: Any = scope.get("client")
    if not client or any(name in headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
