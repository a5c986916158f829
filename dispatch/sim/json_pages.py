"""What the simulated rigs that speak JSON over HTTP share: answers, and tokens. Pure."""

from __future__ import annotations

from typing import Any

from dispatch.rigs.wire import http
from dispatch.rigs.wire.line import WireError, parse, write
from dispatch.sim.rig import REFUSED, SENT, Rig


def page(title: str) -> bytes:
    """The page at the root, by which clients know the firmware."""
    body = f"<!doctype html><html><head><title>{title}</title></head><body></body></html>".encode()
    return http.response(http.Response(200, body, {"Content-Type": "text/html"}))


def json_answer(document: Any, status: int = 200) -> bytes:
    """A document with its status."""
    return http.response(http.Response(status, write(document), {"Content-Type": "application/json"}))


def order_answer(code: int | None, accepted: Any) -> bytes:
    """The answer to an order by its code: `accepted`, or why not; None is an order that there is not."""
    if code is None:
        return json_answer({"error": "not found"}, 404)
    if code == SENT:
        return json_answer(accepted)
    return json_answer({"error": "not permitted"}, 403) if code == REFUSED else json_answer({"error": "not supported"}, 422)


def body_of(asked: http.HttpRequest) -> dict[str, Any]:
    """The document of a request; empty where it has none."""
    try:
        return parse(asked.body) if asked.body else {}
    except WireError:
        return {}


def new_token(rig: Rig, known: bool) -> str | None:
    """The token of a login; None when the password is wrong."""
    return str(rig.memory.setdefault("token", f"t{rig.number:06d}")) if known else None


def has_token(rig: Rig, asked: http.HttpRequest) -> bool:
    """Whether a request carries the rig's token, as a bearer or as it is."""
    said = asked.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(rig.memory.get("token")) and said == rig.memory["token"]
