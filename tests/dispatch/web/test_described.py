"""Typed documents as answers."""

from __future__ import annotations

from dispatch.web.described import answer


def test_a_document_is_written_as_it_was_built_and_what_is_not_finite_as_null() -> None:
    written = answer({"net_usd": 1.5, "value": float("nan"), "rows": [{"values": (0.1, float("inf"))}], "why": "Müller – ok"})
    assert written.body.decode() == '{"net_usd":1.5,"value":null,"rows":[{"values":[0.1,null]}],"why":"Müller – ok"}'
    assert written.headers["content-type"] == "application/json"
