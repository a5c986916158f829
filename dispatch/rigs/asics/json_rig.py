"""One rig that speaks JSON over HTTP, with or without a token; not through pyasic."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

from dispatch.clock import Clock
from dispatch.rigs.asics.connections import NoAnswer
from dispatch.rigs.asics.rig import REFUSED, SENT, UNSUPPORTED, NetworkRig
from dispatch.rigs.wire.line import WireError
from optimizer.domain.site import RigGroup

# Rigs speak plain HTTP. A client that makes a context of its own takes 11 ms for it, as many as hundreds of exchanges.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NOT_ALLOWED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
NOT_KNOWN = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})


async def exchange(
    where: str, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and document of one exchange with a rig; an answer that is no JSON object counts as an empty one. Raises NoAnswer."""
    try:
        async with httpx.AsyncClient(base_url=where, trust_env=False, timeout=None, verify=_TLS) as client:
            answer = await client.request(method, path, json=body, headers=dict(headers or {}))
    except httpx.HTTPError as error:
        raise NoAnswer(type(error).__name__) from None
    try:
        document = answer.json()
    except ValueError:
        document = {}
    return answer.status_code, document if isinstance(document, dict) else {}


class JsonRig(NetworkRig):
    """A connection for each request, closed with it. A token that the rig does not accept any more is fetched once more.

    port, root  where its pages are
    """

    port = 80
    root = "/"

    def __init__(self, ip: str, model: str, password: str, group: RigGroup, clock: Clock) -> None:
        self._where, self._password, self._group = f"http://{ip}:{self.port}", password, group
        self._token = ""

    async def get(self, page: str) -> dict[str, Any]:
        """A page's document. Raises NoAnswer when the rig does not give it."""
        status, document = await self._authorized("GET", page, None)
        if status != HTTPStatus.OK:
            raise NoAnswer(f"{page}: {status}")
        return document

    async def order(self, method: str, page: str, body: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """The rig's answer to an order: SENT, REFUSED or UNSUPPORTED, and its document."""
        status, document = await self._authorized(method, page, body)
        if 200 <= status < 300:
            return SENT, document
        return UNSUPPORTED if status in NOT_KNOWN else REFUSED, document

    async def login(self) -> str:
        """A new token; empty where the rig needs none. Raises WireError when it gives none."""
        return ""

    def authorization(self, token: str) -> dict[str, str]:
        """The headers that carry a token."""
        return {"Authorization": f"Bearer {token}"}

    async def ask(
        self, method: str, page: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of one exchange."""
        return await exchange(self._where, method, self.root + page, body, headers)

    async def _authorized(self, method: str, page: str, body: Mapping[str, Any] | None) -> tuple[int, dict[str, Any]]:
        status: int = HTTPStatus.UNAUTHORIZED
        document: dict[str, Any] = {}
        for fresh in (False, True):
            if fresh or not self._token:
                try:
                    self._token = await self.login()
                except WireError:
                    break
            status, document = await self.ask(method, page, body, self.authorization(self._token) if self._token else None)
            if status not in NOT_ALLOWED or not self._token:
                break
        return status, document
