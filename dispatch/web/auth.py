"""Access control of the API. It decides before a body is parsed.

From a loopback address, reading and what-if need no key. The Host header must name this machine: otherwise a foreign page could reach the
site under a host name of its own (DNS rebinding). Everything else needs a key with the scope, sent as `Authorization: Bearer KEY` or
`X-API-Key: KEY`. A browser may send the key as the password of HTTP Basic, for reading and what-if only.

A person signs in with a key at /sign-in and then sends a cookie, which may do what the key may. A browser sends cookies with requests of
foreign pages too, so that a write by cookie, and signing in and out, must say that it comes from a page of this site.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dispatch.web.access_log import AccessLog, client_address
from dispatch.web.errors import Refusal, problem
from dispatch.web.known_keys import Key, KnownKeys

MAX_BODY_BYTES = 1_000_000
BODY_S = 20.0  # wall seconds a client has to send a body
SIGNAL_PATHS = ("/api/v1/calls", "/api/v1/awards", "/api/v1/holds", "/api/v1/stop", "/api/v1/resume", "/api/v1/moves/preview")
HOLD_PREFIX = "/api/v1/holds/"
WHAT_IF_PATHS = ("/api/v1/what-if", "/api/v1/what-if/sweep", "/api/v1/what-if/break-even", "/api/v1/offers")
MCP_PATH = "/mcp"  # the requests of its tools are checked again, each by its own scope
SIGN_IN_PATH, SIGN_OUT_PATH = "/sign-in", "/sign-out"
SESSION_PATHS = (SIGN_IN_PATH, SIGN_OUT_PATH)
OPEN_PREFIXES = ("/api/v1/health/", "/static/")  # the static files are those of every installation
OPEN_PATHS = (*SESSION_PATHS, "/favicon.ico")
FORM = "application/x-www-form-urlencoded"
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    # Not no-referrer: with it a browser sends the forms of this site's own pages with `Origin: null`.
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def scope_needed(method: str, path: str) -> str | None:
    """The scope a request needs; None where no key is needed (health, signing in, static files) or nothing is served (the
    application answers 404 or 405)."""
    if path in OPEN_PATHS or any(path.startswith(p) for p in OPEN_PREFIXES):
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

    def __init__(self, app: ASGIApp, keys: KnownKeys, access_log: AccessLog, hosts: Collection[str]) -> None:
        self.app, self._keys, self._log = app, keys, access_log
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

        state = scope.setdefault("state", {})
        state.update(key=None, session=None)
        try:
            state["key"] = self._authorize(scope)
            body = await self._body(scope, receive)
        except Refusal as refusal:
            self._log.denied(scope, refusal)
            await _refused(scope, refusal)(scope, receive, with_headers)
            return
        if state["key"] is not None and scope["method"] not in ("GET", "HEAD"):
            self._log.let_in(scope, state["key"])
        await self.app(scope, body, with_headers)

    def _authorize(self, scope: Scope) -> Key | None:
        """The key the request carries, None when it carries none and needs none. Raises Refusal."""
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        self._check_host_and_origin(headers, scope)
        need = scope_needed(method, path)
        key, basic = self._key_of(scope, headers, need)
        by_browser = path in SESSION_PATHS or scope["state"]["session"] is not None
        if by_browser and method not in ("GET", "HEAD") and not _from_own_page(headers):
            raise Refusal(403, "A request of a signed-in browser must come from a page of this site: it has no Origin header of this site")
        if need is None or (key is None and need in ("read", "whatif") and _loopback(scope, headers)):
            return key
        if key is None:
            ended = "The session has ended: sign in again. " if session_token(headers) else ""
            raise _unknown(f"{ended}This needs a key with scope {need}: loadstone keys add NAME --scope {need}", need)
        if basic and need not in ("read", "whatif"):
            raise Refusal(403, "HTTP Basic may only read and ask what-ifs; send the key as Authorization: Bearer KEY or X-API-Key: KEY")
        if need == "whatif" and scope["state"]["session"] is not None and allows(key, "read") and _loopback(scope, headers):
            return key  # signing in takes nothing away from a page of this machine
        if not allows(key, need):
            raise Refusal(403, f"Key {key.name!r} has no scope {need}; it has {', '.join(sorted(key.scopes)) or 'none'}")
        return key

    def _key_of(self, scope: Scope, headers: Headers, need: str | None) -> tuple[Key | None, bool]:
        """The key of a request, None when it carries none or its session has ended; and whether it came by HTTP Basic. Notes the session
        in the scope. Raises Refusal for an unknown key, and for too many requests."""
        try:
            secrets, basic = _secrets(headers)
        except ValueError as error:
            raise _unknown(str(error), need) from None
        if secrets:
            if (key := self._keys.by_secret(secrets[0], client_address(scope))) is None:
                raise _unknown("This key is unknown or was revoked", need)
            return key, basic
        token = session_token(headers)
        key = self._keys.by_session(token) if token else None
        scope["state"]["session"] = token if key is not None else None
        return key, False

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
        if body and media != "application/json" and not (media == FORM and scope["path"] in SESSION_PATHS):
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


def cookie_name(headers: Headers) -> str:
    """The name of the session's cookie. Browsers do not tell the ports of a machine apart, but two sites may run on one."""
    port = headers.get("host", "").rpartition("]")[2].partition(":")[2]
    return f"loadstone_session_{port}" if port.isdigit() else "loadstone_session"


def session_token(headers: Headers) -> str | None:
    """The token of the session that a request names, None for none."""
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(headers)) or None


def _from_own_page(headers: Headers) -> bool:
    """Whether a browser says that a page of this site sent the request; an Origin of another site was refused before."""
    return bool(headers.get("origin")) or headers.get("sec-fetch-site") == "same-origin"


def _refused(scope: Scope, refusal: Refusal) -> Response:
    """The answer to a refused request: a problem document, but the sign-in page for who opens a page without having signed in."""
    headers, path = Headers(scope=scope), scope["path"]
    opens_page = scope["method"] == "GET" and not path.startswith("/api/") and "text/html" in headers.get("accept", "")
    if refusal.status == 401 and opens_page and "authorization" not in headers and "x-api-key" not in headers:
        return RedirectResponse(f"{SIGN_IN_PATH}?next={quote(path, safe='/')}", 303, {"Cache-Control": "no-store"})
    return problem(refusal.status, refusal.detail, refusal.faults, refusal.headers)


def _loopback(scope: Scope, headers: Headers) -> bool:
    """Whether the client is on this machine; a request through a proxy never counts as local."""
    client: Any = scope.get("client")
    if not client or any(name in headers for name in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
