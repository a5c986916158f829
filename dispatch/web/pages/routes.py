"""Routes of the pages and of their static files."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatch.web.context import ApiContext
from dispatch.web.errors import Refusal
from dispatch.web.pages import labels
from dispatch.web.pages.labels import clock, page_values
from dispatch.web.pages.manual_moves import move_values
from dispatch.web.pages.money import money_values
from dispatch.web.pages.peaks import peak_values
from dispatch.web.pages.plan import plan_values
from dispatch.web.pages.promises import promise_values

HERE = Path(__file__).parent
MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
# Addresses and names, in the order of the bar.
PAGES = (("/", "Now"), ("/plan", "Plan"), ("/promises", "Promises"), ("/money", "Money"), ("/peaks", "Peaks"))
CACHE_FOREVER = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@cache
def templates() -> Environment:
    loader = FileSystemLoader(HERE / "templates")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters |= {"usd": labels.usd, "mw": labels.mw, "number": labels.number, "age": labels.age}
    return found


@router.get("/", response_class=HTMLResponse)
def now(request: Request) -> HTMLResponse:
    key = request.scope["state"]["key"] if request.scope["state"]["session"] is not None else None
    return _page(request, "/", "now.html", lambda context: page_values(context) | move_values(context, key))


@router.get("/plan", response_class=HTMLResponse)
def plan(request: Request) -> HTMLResponse:
    return _page(request, "/plan", "plan.html", plan_values)


@router.get("/promises", response_class=HTMLResponse)
def promises(request: Request) -> HTMLResponse:
    return _page(request, "/promises", "promises.html", promise_values)


@router.get("/money", response_class=HTMLResponse)
def money(request: Request, day: str = "") -> HTMLResponse:
    return _page(request, "/money", "money.html", lambda context: money_values(context, day))


@router.get("/peaks", response_class=HTMLResponse)
def peaks(request: Request) -> HTMLResponse:
    return _page(request, "/peaks", "peaks.html", peak_values)


@router.get("/favicon.ico")
def favicon() -> RedirectResponse:
    return RedirectResponse("/static/loadstone.svg")


@router.get("/static/plotly.min.js")
def plotly(request: Request) -> Response:
    headers = {"Vary": "Accept-Encoding", "Cache-Control": CACHE_FOREVER}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_plotly_gzip(), media_type=MEDIA["js"], headers={**headers, "Content-Encoding": "gzip"})
    return Response(_plotly_file().read_bytes(), media_type=MEDIA["js"], headers=headers)


@router.get("/static/{name}")
def static(name: str) -> Response:
    file = HERE / "static" / name
    if name not in {f.name for f in (HERE / "static").iterdir()}:
        raise Refusal(404, f"There is no file {name!r}")
    return Response(file.read_bytes(), media_type=MEDIA[file.suffix[1:]], headers={"Cache-Control": "no-cache"})


def _page(request: Request, path: str, template: str, values: Callable[[ApiContext], Mapping[str, Any]]) -> HTMLResponse:
    """A page with the frame that all pages share; one that says to wait while the journal is being read."""
    context: ApiContext = request.app.state.context
    tail = context.tail
    if not tail.caught_up:
        return HTMLResponse(templates().get_template("wait.html").render(why=tail.failure, seq=tail.view.state.seq), 503, {"Refresh": "1"})
    site = context.view.state.site
    key, session = request.scope["state"]["key"], request.scope["state"]["session"]
    frame = {
        "path": path,
        "pages": PAGES,
        "site": site.name,
        "market": site.market.value,
        "clock": clock(site.market, context.now()),
        "key": key.name if key else "",
        "signed_in": session is not None,
    }
    html = templates().get_template(template).render(values(context), frame=frame, plotly=plotly_version())
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})


@cache
def plotly_version() -> str:
    """Part of the script's address, so that browsers fetch the script again when the library changes."""
    from importlib.metadata import version

    return version("plotly")


def _plotly_file() -> Path:
    import importlib.util

    found = importlib.util.find_spec("plotly")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


@cache
def _plotly_gzip() -> bytes:
    return gzip.compress(_plotly_file().read_bytes(), 6, mtime=0)
