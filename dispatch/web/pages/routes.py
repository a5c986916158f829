"""The page's addresses: the page, the part of it that moves, and its files."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dispatch.web.context import ApiContext, desk
from dispatch.web.errors import Refusal
from dispatch.web.pages import labels

HERE = Path(__file__).parent
MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"

At = Annotated[ApiContext, Depends(desk)]
router = APIRouter(include_in_schema=False)


@cache
def templates() -> Environment:
    loader = FileSystemLoader(HERE / "templates")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters |= {"usd": labels.usd, "mw": labels.mw, "number": labels.number, "age": labels.age}
    return found


@router.get("/", response_class=HTMLResponse)
def page(at: At) -> HTMLResponse:
    tail = at.tail
    if not tail.caught_up:
        return HTMLResponse(templates().get_template("wait.html").render(why=tail.trouble, seq=tail.view.state.seq), 503, {"Refresh": "1"})
    return _html("page.html", labels.figures(at))


@router.get("/now", response_class=HTMLResponse)
def now(at: At) -> HTMLResponse:
    return _html("now.html", labels.figures(at))


@router.get("/favicon.ico")
def favicon() -> RedirectResponse:
    return RedirectResponse("/static/loadstone.svg")


@router.get("/static/plotly.min.js")
def plotly(request: Request) -> Response:
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "Cache-Control": FOR_EVER}
        return Response(_plotly_gzip(), media_type=MEDIA["js"], headers=headers)
    return Response(_plotly_file().read_bytes(), media_type=MEDIA["js"], headers={"Vary": "Accept-Encoding", "Cache-Control": FOR_EVER})


@router.get("/static/{name}")
def static(name: str) -> Response:
    file = HERE / "static" / name
    if name not in {f.name for f in (HERE / "static").iterdir()}:
        raise Refusal(404, f"There is no file {name!r}")
    return Response(file.read_bytes(), media_type=MEDIA[file.suffix[1:]], headers={"Cache-Control": "no-cache"})


def _html(name: str, figures: dict[str, Any]) -> HTMLResponse:
    return HTMLResponse(templates().get_template(name).render(figures, plotly=plotly_version()), headers={"Cache-Control": "no-store"})


@cache
def plotly_version() -> str:
    """Names the script's address, so that a new one is fetched when the library changes."""
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
