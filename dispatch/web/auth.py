"""Access control of the API. It decides before a body is parsed.

From a loopback address, reading and what-if need no key. The Host header must name this machine: otherwise a foreign page could reach the
site under a host name of its own (DNS rebinding). Everything else needs a key with the scope, sent as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. A browser may send the key as the password of HTTP Basic, for reading and what-if only.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatch.web.errors import Refusal, problem
from dispatch.web.limits import DENIALS_LOGGED, REQUESTS_A_KEY, WRONG_KEYS_AN_ADDRESS, RateLimit

log = structlog.get_logger()

MAX_BODY_BYTES = 1_000_000
BODY_S = 20.0  # wall seconds a client has to send a body
SIGNAL_PATHS = ("/api/v1/calls", "/api/v1/awards", "/api/v1/holds", "/api/v1/stop", "/api/v1/resume", "/api/v1/moves/preview")
HOLD_PREFIX = "/api/v1/holds/"
WHAT_IF_PATHS = ("/api/v1/what-if", "/api/v1/what-if/sweep", "/api/v1/what-if/break-even", "/api/v1/offers")
MCP_PATH = "/mcp"  # the requests of its tools are checked again, each by its own scope
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
    if method in ("GET", "HEAD") or path == MCP_PATH:
        return "read"
    if method == "POST" and path in WHAT_IF_PATHS:
        return "whatif"
    of_a_hold = path.startswith(HOLD_PREFIX) and (method == "DELETE" or path.endswith("/confirm"))
    return "dispatch" if of_a_hold or (method == "POST" and path in SIGNAL_PATHS) else None


def allows(key: Key, scope: str) -> bool:
    """Whether a key has the scope: `admin` includes all others; `dispatch` and `whatif` include `read`."""
    return "admin" in key.scopes or scope in key.scopes or (scope == "read" and bool({"whatif", "dispatch"} & set(key.scopes)))


class AccessControl:
    """ASGI middleware: checks Host, Origin, key, media type and body size; adds security headers to every answer."""

    def __init__(self, app: ASGIApp, check: Check, hosts: Collection[str]) -> None:
        self.app, self.check = app, check
        self._requests, self._wrong_keys = RateLimit(REQUESTS_A_KEY), RateLimit(WRONG_KEYS_AN_ADDRESS)
        self._denials = RateLimit(DENIALS_LOGGED)
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
            self._log_denial(scope, refusal)
            await problem(refusal.status, refusal.detail, refusal.faults, refusal.headers)(scope, receive, with_headers)
            return
        if (key := scope["state"]["key"]) is not None and scope["method"] not in ("GET", "HEAD"):
            log.info("A request was let in.", **_request_text(scope), key=key.name)
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
        key = self._known(scope, secrets, need)
        if need is None or (key is None and need in ("read", "whatif") and _loopback(scope, headers)):
            return key
        if key is None:
            raise _unknown(f"This needs a key with scope {need}: loadstone keys add NAME --scope {need}", need)
        if basic and need not in ("read", "whatif"):
            raise Refusal(403, "HTTP Basic may only read and ask what-ifs; send the key as Authorization: Bearer KEY or X-API-Key: KEY")
        if not allows(key, need):
            raise Refusal(403, f"Key {key.name!r} has no scope {need}; it has {', '.join(sorted(key.scopes)) or 'none'}")
        return key

    def _log_denial(self, scope: Scope, refusal: Refusal) -> None:
        """Log a denied write, and a denied key."""
        address = _address(scope)
        if (scope["method"] in ("GET", "HEAD") and refusal.status not in (401, 429)) or self._denials.reached(address):
            return
        self._denials.count(address)
        log.warning("A request was denied.", **_request_text(scope), status=refusal.status, reason=refusal.detail)

    def _known(self, scope: Scope, secrets: Sequence[str], need: str | None) -> Key | None:
        """The key of a request, None when it carries none. Raises Refusal for an unknown key, and for too many requests."""
        if not secrets:
            return None
        key, address = self.check(secrets[0]), _address(scope)
        if key is None:
            if self._wrong_keys.reached(address):
                raise Refusal(429, f"More than {WRONG_KEYS_AN_ADDRESS} wrong keys came from this address in a minute")
            self._wrong_keys.count(address)
            raise _unknown("This key is unknown or was revoked", need)
        if self._requests.reached(key.name):
            raise Refusal(429, f"Key {key.name!r} sent more than {REQUESTS_A_KEY:,} requests in a minute")
        self._requests.count(key.name)
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
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read(receive)
        except TimeoutError:
            raise Refusal(408, f"The body did not come within {BODY_S:g} s", headers={"Connection": "close"}) from None
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


def _address(scope: Scope) -> str:
    client: Any = scope.get("client")
    return str(client[0]) if client else "unknown"


def _request_text(scope: Scope) -> dict[str, str]:
    return {"method": scope["method"], "path": scope["path"][:200], "client": _address(scope)}


def _loopback(scope: Scope, headers: Headers) -> bool:
    """Whether the client is on this machine; a request through a proxy never counts as local."""
    client: Any = scope.get("client")
    if not client or any(name in headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
