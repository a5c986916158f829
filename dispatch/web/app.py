"""The API and its page. They read the journal, write the inbox and answer what-ifs, in a process of their own: the control loop never waits
for it."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dispatch.clock import Clock, SystemClock
from dispatch.signals.documents import DocumentFault, joined_path
from dispatch.site_file import errors
from dispatch.site_file.setup import Setup
from dispatch.store import JournalBroken, LedgerUnavailable
from dispatch.web import event_stream, move_routes, pages, read_routes, signal_routes, what_if_routes
from dispatch.web.access_log import AccessLog
from dispatch.web.auth import MCP_PATH, SESSION_PATHS, AccessControl, scope_needed
from dispatch.web.context import ApiContext
from dispatch.web.errors import MEANINGS, MEDIA_TYPE, Problem, Refusal, problem
from dispatch.web.known_keys import KnownKeys

log = structlog.get_logger()

ROUTERS = (
    read_routes.router,
    read_routes.metrics,
    event_stream.router,
    what_if_routes.router,
    signal_routes.router,
    move_routes.router,
    pages.router,
    pages.sign_in,
)
ABOUT = """What a Loadstone site does, why, and what it would do. Every error is an RFC 9457 problem.

On loopback, reading and what-if need no key; calls, awards and holds need one with scope `dispatch`:
`Authorization: Bearer KEY` or `X-API-Key: KEY`. A browser signs in at `/sign-in`."""


def create_app(
    data_dir: Path, setup: Setup, *, clock: Clock | None = None, listen: str = "127.0.0.1:8787", hosts: Collection[str] = ()
) -> FastAPI:
    """The application over a data folder. `hosts` are further names that the Host header may carry."""
    context = ApiContext(Path(data_dir), setup, clock or SystemClock())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with context.running(), _mcp_running(app):
            yield

    app = FastAPI(title="Loadstone", description=ABOUT, version="1", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.context = context
    app.state.streams = set()
    app.state.known_keys, app.state.access_log = KnownKeys(context.key, context.key_named), AccessLog()
    for router in ROUTERS:
        app.include_router(router)
    _check_every_write_needs_a_key()
    _add_mcp(app)
    allowed = [listen.rpartition(":")[0], *setup.api.hosts, *hosts]
    app.add_middleware(AccessControl, keys=app.state.known_keys, access_log=app.state.access_log, hosts=allowed)
    _problems(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _add_mcp(app: FastAPI) -> None:
    """Serve the tools of the Model Context Protocol, where the extra `mcp` is installed."""
    if importlib.util.find_spec("mcp") is not None:
        from dispatch.web.mcp_endpoint import McpEndpoint

        app.state.mcp = McpEndpoint(app)
        app.router.routes.append(Route(MCP_PATH, app.state.mcp, methods=["POST"], include_in_schema=False))


@asynccontextmanager
async def _mcp_running(app: FastAPI) -> AsyncIterator[None]:
    mcp = getattr(app.state, "mcp", None)
    async with mcp.manager.run() if mcp is not None else nullcontext():
        yield


def _routes() -> Iterator[tuple[APIRoute, set[str]]]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route, set(route.methods or ())


def _check_every_write_needs_a_key() -> None:
    """Every route that is not a GET must need a scope, but signing in and out. Raises RuntimeError."""
    for route, methods in _routes():
        for method in methods - {"GET", "HEAD"}:
            if scope_needed(method, route.path) is None and route.path not in SESSION_PATHS:
                raise RuntimeError(f"{method} {route.path} needs no key")


def _problems(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return problem(error.status, error.detail, error.faults, error.headers)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail) if error.status_code not in MEANINGS or error.status_code == 400 else MEANINGS[error.status_code]
        headers = {"Allow": _allowed(request.url.path) or "GET"} if error.status_code == 405 else error.headers
        return problem(error.status_code, detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return _invalid(request, error)

    @app.exception_handler(JournalBroken)
    @app.exception_handler(LedgerUnavailable)
    async def unavailable(request: Request, error: Exception) -> Response:
        return problem(503, f"The ledger does not respond: {error}")

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        log.error("a request failed because of a defect", path=request.url.path, error=repr(error))
        return problem(500, "This is a defect of Loadstone; the log has the details")


def _allowed(path: str) -> str:
    """Every method that a route accepts at this path, for the Allow header."""
    return ", ".join(sorted(set().union(*(methods for route, methods in _routes() if route.path_regex.match(path)))))


def _invalid(request: Request, error: RequestValidationError) -> Response:
    """Pydantic's faults in plain words, status 422; status 400 when the body is not JSON."""
    route = request.scope.get("route")
    field = route.body_field if isinstance(route, APIRoute) else None
    model = field.field_info.annotation if field else None
    found = []
    for e in error.errors():
        if e["type"] == "json_invalid":
            return problem(400, f"The body is not JSON: {e.get('ctx', {}).get('error', e['msg'])}")
        where, *loc = e["loc"]
        text = errors.validation_message({**e, "loc": tuple(loc)}, model if where == "body" else None)
        found.append(DocumentFault(joined_path(*([] if where == "body" else [where]), *loc), text))
    return problem(422, "; ".join(str(f) for f in found[:5]), found)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        document = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(document.pop("$defs", {}), Problem=document)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schema["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        for path, item in schema["paths"].items():
            for method, operation in item.items():
                _operation(operation, scope_needed(method.upper(), path))
        app.openapi_schema = schema
    return app.openapi_schema


def _operation(operation: dict[str, Any], scope: str | None) -> None:
    for status, answer in operation["responses"].items():
        if status[0] in "45":
            answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if scope is not None:
        keyed: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
        operation["security"] = keyed if scope not in ("read", "whatif") else [{}, *keyed]
        operation["description"] = f"{operation.get('description', '')}\n\nScope `{scope}`.".strip()
