"""The tools of the Model Context Protocol through the official client over HTTP. Keys bind them as they bind the API."""

from __future__ import annotations

import json
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from dispatch.web.mcp_endpoint import TOOLS
from tests.dispatch.web.conftest import Here


async def called(address: str, tool: str, arguments: dict[str, Any] | None = None, **headers: str) -> tuple[bool, Any]:
    """Whether a tool failed, and its answer."""
    async with httpx2.AsyncClient(headers=headers) as http, Client(streamable_http_client(f"{address}/mcp", http_client=http)) as client:
        result = await client.call_tool(tool, arguments or {})
    (content,) = result.content
    return bool(result.is_error), json.loads(content.text) if content.text.startswith("{") else content.text


async def test_every_tool_is_a_route_that_reads_or_computes(here: Here) -> None:
    async with Client(f"{here.address}/mcp") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == set(TOOLS)
    assert all(tool.annotations and tool.annotations.read_only_hint and tool.description for tool in tools.values())
    assert tools["statement"].input_schema["required"] == ["day"]
    assert "hash" in tools["what_if"].input_schema["properties"]


async def test_a_tool_answers_what_the_api_answers(here: Here) -> None:
    failed, state = await called(here.address, "state")
    assert not failed and state["seq"] == httpx.get(f"{here.address}/api/v1/state").json()["seq"]
    failed, answer = await called(here.address, "what_if", {"hash": {"usd_per_ph_day": 20.0}})
    asked = httpx.post(f"{here.address}/api/v1/what-if", json={"hash": {"usd_per_ph_day": 20.0}})
    assert not failed and answer["difference"]["net_usd"] == asked.json()["difference"]["net_usd"]


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("no_such_tool", {}, "There is no tool 'no_such_tool'"),
        ("what_if", {"hashprice": 3}, "hashprice"),
        ("statement", {"day": "../../state"}, "Not found"),
        ("statement", {"day": "2020-01-01"}, "is not settled"),
        ("statement", {"day": "yesterday"}, "day"),
        ("event", {"id": "nobody/sent"}, "404"),
    ],
)
async def test_a_wrong_call_of_a_tool_fails_in_words(here: Here, tool: str, arguments: dict[str, Any], said: str) -> None:
    failed, answer = await called(here.address, tool, arguments)
    assert failed and said in json.dumps(answer)


async def test_keys_bind_tools_as_they_bind_the_api(here: Here) -> None:
    """Through a proxy, which is no loopback client, a key needs the scope of the route behind the tool."""
    proxied = {"x-forwarded-for": "203.0.113.7"}
    assert httpx.post(f"{here.address}/mcp", json={}, headers=proxied).status_code == 401
    reader, asker = here.keys["read"], here.keys["whatif"]
    failed, answer = await called(here.address, "what_if", {}, **proxied, authorization=f"Bearer {reader}")
    assert failed and "has no scope whatif" in answer["detail"]
    failed, _ = await called(here.address, "what_if", {}, **proxied, authorization=f"Bearer {asker}")
    assert not failed
