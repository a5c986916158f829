"""What the log says of access to the API: who was let in to write, who signed in and out, and who was denied."""

from __future__ import annotations

from typing import Any

import structlog
from starlette.types import Scope

from dispatch.web.errors import Refusal
from dispatch.web.known_keys import Key
from dispatch.web.limits import DENIALS_LOGGED, RateLimit

log = structlog.get_logger()


class AccessLog:
    """Writes to the log; a flood of requests is no flood of lines."""

    def __init__(self) -> None:
        self._denials = RateLimit(DENIALS_LOGGED)

    def let_in(self, scope: Scope, key: Key) -> None:
        """A write by a key."""
        log.info("A request was let in.", **_request_text(scope), key=key.name)

    def signed_in(self, scope: Scope, key: Key) -> None:
        log.info("A person signed in.", **_request_text(scope), key=key.name)

    def signed_out(self, scope: Scope, key: Key) -> None:
        log.info("A person signed out.", **_request_text(scope), key=key.name)

    def denied(self, scope: Scope, refusal: Refusal) -> None:
        """A denied write, and a denied key."""
        address = client_address(scope)
        if (scope["method"] in ("GET", "HEAD") and refusal.status not in (401, 429)) or self._denials.reached(address):
            return
        self._denials.count(address)
        log.warning("A request was denied.", **_request_text(scope), status=refusal.status, reason=refusal.detail)


def client_address(scope: Scope) -> str:
    """The address a request came from."""
    client: Any = scope.get("client")
    return str(client[0]) if client else "unknown"


def _request_text(scope: Scope) -> dict[str, str]:
    return {"method": scope["method"], "path": scope["path"][:200], "client": client_address(scope)}
