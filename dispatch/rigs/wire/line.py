"""What all codecs share: one whole message out of a stream of bytes, JSON objects, and the one error they raise."""

from __future__ import annotations

import json
from typing import Any

MAX_REQUEST = 65_536
_BLANK = b"\0 \r\n\t"


class WireError(ValueError):
    """These bytes are not what the protocol allows here."""


def complete(data: bytes) -> int:
    """How many bytes the first whole JSON object is; 0 while it has not arrived. Raises WireError when none can come of it any more."""
    if len(data) > MAX_REQUEST:
        raise WireError("the request is too long")
    text = data.strip(_BLANK)
    if text[:1] not in (b"", b"{"):
        raise WireError("a request is a JSON object")
    if not text.endswith(b"}"):
        return 0
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return 0
    return len(data)


def parse(data: bytes) -> dict[str, Any]:
    """The JSON object a message is; the NUL some rigs end with is cut off. Raises WireError."""
    try:
        document = json.loads(data.rstrip(_BLANK))
    except (ValueError, RecursionError):
        raise WireError("not JSON") from None
    if not isinstance(document, dict):
        raise WireError("not a JSON object")
    return document


def write(document: Any) -> bytes:
    """JSON without blanks."""
    return json.dumps(document, separators=(",", ":")).encode()


def text(value: Any, what: str) -> str:
    """A text that is there and not empty, such as a session's token. Raises WireError that says what is missing."""
    if not isinstance(value, str) or not value:
        raise WireError(f"no {what}")
    return value


def figure(value: Any, unit: str = "") -> float:
    """A number as rigs write them: 12, "12", "12.5W". Raises WireError."""
    try:
        number = float(value.removesuffix(unit) if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):  # an integer may have thousands of digits
        raise WireError(f"{str(value)[:40]!r} is no number") from None
    if not -1e15 < number < 1e15:
        raise WireError(f"{value!r} is no number")
    return number
