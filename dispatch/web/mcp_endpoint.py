"""The reading and what-if routes of the API as tools of the Model Context Protocol, at /mcp: the extra `mcp`.

A tool is a route of the OpenAPI document, with its summary and schema. When it is called, the same application is asked with the caller's
own key, so that scopes, limits and refusals are those of the API. No route that changes the site is a tool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from fastapi import FastAPI
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from dispatch.web.auth import MAX_BODY_BYTES, PROXY_HEADERS

TOOLS = {
    "state": ("get", "/api/v1/state"),
    "plan": ("get", "/api/v1/plan"),
    "prices": ("get", "/api/v1/prices"),
    "fleet": ("get", "/api/v1/fleet"),
    "obligations": ("get", "/api/v1/obligations"),
    "calls": ("get", "/api/v1/calls"),
    "awards": ("get", "/api/v1/awards"),
    "holds": ("get", "/api/v1/holds"),
    "activity": ("get", "/api/v1/activity"),
    "settlements": ("get", "/api/v1/settlements"),
    "statement": ("get", "/api/v1/settlements/{day}"),
    "event": ("get", "/api/v1/events/{id}"),
    "what_if": ("post", "/api/v1/what-if"),
    "sweep": ("post", "/api/v1/what-if/sweep"),
    "break_even": ("post", "/api/v1/what-if/break-even"),
    "offers": ("post", "/api/v1/offers"),
}
# What a request to the API carries on from the request to /mcp.
CARRIED = ("authorization", "x-api-key", "host", *PROXY_HEADERS)
INSTRUCTIONS = (
    "What a Bitcoin-mining site does, why, and what it would do. Every tool reads or computes; none changes the site. "
    "Load in MW at the meter, energy in MWh, hashrate in PH/s, money in $, positive to the site; instants are ISO 8601 with their offset."
)


@dataclass(frozen=True, slots=True)
class _Tool:
    """A route as a tool: where its arguments go."""

    method: str
    path: str
    described: types.Tool
    in_path: frozenset[str]
    body: bool

    def request(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of an HTTP request: method, url, and params or json."""
        path = self.path
        for name in self.in_path:
            path = path.replace(f"{{{name}}}", quote(str(arguments.get(name, "")), safe=""))
        rest = {name: value for name, value in arguments.items() if name not in self.in_path}
        return {"method": self.method, "url": path, **({"json": rest} if self.body else {"params": rest})}


class McpEndpoint:
    """An ASGI application that answers MCP requests, each by itself: no session outlives a request."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._tools: dict[str, _Tool] = {}
        server: Server[Any] = Server("loadstone", instructions=INSTRUCTIONS, on_list_tools=self._list, on_call_tool=self._call)
        self.manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True, max_request_body_size=MAX_BODY_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.manager.handle_request(scope, receive, send)

    def tools(self) -> dict[str, _Tool]:
        """The tools by name, made from the OpenAPI document once."""
        if not self._tools:
            document = self._app.openapi()
            self._tools = {name: _tool(name, method, path, document) for name, (method, path) in TOOLS.items()}
        return self._tools

    async def _list(self, context: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.described for tool in self.tools().values()])

    async def _call(self, context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = self.tools().get(params.name)
        if tool is None:
            return _result(f"There is no tool {params.name!r}; there are {', '.join(TOOLS)}", failed=True)
        asked: Request = context.request
        headers = {name: asked.headers[name] for name in CARRIED if name in asked.headers}
        client = (asked.client.host, asked.client.port) if asked.client else ("", 0)
        transport = httpx.ASGITransport(self._app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url=str(asked.base_url), timeout=None) as http:
            answer = await http.request(**tool.request(params.arguments or {}), headers=headers)
        return _result(answer.text, failed=answer.is_error)


def _result(text: str, *, failed: bool) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=failed)


def _tool(name: str, method: str, path: str, document: Mapping[str, Any]) -> _Tool:
    """A route of the OpenAPI document as a tool; shared schemas go along under $defs."""
    operation = document["paths"][path][method]
    parameters = [p for p in operation.get("parameters", []) if p["name"] != "format"]
    if body := operation.get("requestBody"):
        schema = _resolved(body["content"]["application/json"]["schema"], document)
    else:
        schema = {
            "properties": {p["name"]: {**p["schema"], "description": p.get("description", "")} for p in parameters},
            "required": [p["name"] for p in parameters if p["required"]],
        }
    shared = {"$defs": document["components"]["schemas"]} if "$ref" in json.dumps(schema) else {}
    text = json.dumps({"type": "object", **schema, **shared}).replace("#/components/schemas/", "#/$defs/")
    described = types.Tool(
        name=name,
        title=operation["summary"],
        description=operation.get("description") or operation["summary"],
        input_schema=json.loads(text),
        annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )
    return _Tool(method, path, described, frozenset(p["name"] for p in parameters if p["in"] == "path"), body is not None)


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return dict(document["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema)
