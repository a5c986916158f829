"""Every error of the API is an RFC 9457 problem document: what went wrong, and the place of each fault in the request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from dispatch.signals.documents import DocumentFault

MEDIA_TYPE = "application/problem+json"

MEANINGS = {
    400: "The body is not JSON",
    401: "No key, or an unknown key",
    403: "Not allowed by the key's scopes, or by the Host or Origin header",
    404: "Not found",
    405: "This path does not accept the method",
    408: "The body did not come in time",
    409: "The Idempotency-Key was used before with other content",
    413: "The body is larger than 1 MB",
    415: "The body is not application/json",
    422: "The content is not valid; `errors` names the path of each fault",
    429: "Too many requests, or too many wrong keys; try again after Retry-After seconds",
    500: "A defect of Loadstone",
    501: "Not built in this version",
    503: "Not available yet: the ledger does not respond or nothing has been observed; try again after Retry-After seconds",
}


class ErrorAt(BaseModel):
    """One fault: its place (`path` by keys and positions, `pointer` the same as a JSON pointer) and what is wrong there."""

    path: str
    pointer: str
    detail: str


class Problem(BaseModel):
    """The problem document of RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ErrorAt] = Field(default_factory=list)


class Refusal(Exception):
    """The request is refused; it is answered with a problem document."""

    def __init__(self, status: int, detail: str, faults: Sequence[DocumentFault] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, tuple(faults), dict(headers or {})


def problem(status: int, detail: str, faults: Sequence[DocumentFault] = (), headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that failed."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    errors = [ErrorAt(path=f.path, pointer=_pointer(f.path), detail=f.text) for f in faults]
    document: dict[str, Any] = Problem(title=title, status=status, detail=detail, errors=errors).model_dump()
    extra = {"Retry-After": "5"} if status in (429, 503) else {}
    # A request may contain half of a surrogate pair; escaped to ASCII, any text can be sent back.
    body = json.dumps(document, ensure_ascii=True)
    return Response(body, status, headers={"Cache-Control": "no-store", **extra, **(headers or {})}, media_type=MEDIA_TYPE)


def _pointer(path: str) -> str:
    parts = [p.replace("~", "~0").replace("/", "~1") for p in path.split(".") if p]
    return "#" + "".join(f"/{p}" for p in parts)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for the OpenAPI document, each answered with a problem document."""
    return {
        s: {"description": MEANINGS[s], "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}} for s in statuses
    }
