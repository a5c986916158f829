"""Signing in with a key on the page, and signing out."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import Field

from dispatch.signals.documents import InvalidDocument, SignalDocument, parse_document
from dispatch.web.access_log import AccessLog, client_address
from dispatch.web.auth import FORM, SIGN_IN_PATH, SIGN_OUT_PATH, cookie_name
from dispatch.web.errors import Refusal
from dispatch.web.known_keys import SESSION_LASTS_S, Key, KnownKeys
from dispatch.web.pages.routes import PAGES, templates

router = APIRouter(include_in_schema=False)


class SignInDocument(SignalDocument):
    """The key to sign in with, and the page to show then."""

    key: Annotated[str, Field(min_length=1, max_length=500)]
    next: Annotated[str, Field(max_length=500)] = "/"


@router.get(SIGN_IN_PATH, response_class=HTMLResponse)
def get_sign_in(request: Request, next: str = "/") -> HTMLResponse:
    key = request.scope["state"]["key"]
    return _page(_own_page(next), key.name if key else "")


@router.post(SIGN_IN_PATH)
async def post_sign_in(request: Request) -> Response:
    """A browser's form is answered with a page, JSON with JSON."""
    is_form = request.headers.get("content-type", "").split(";")[0].strip().lower() == FORM
    access_log: AccessLog = request.app.state.access_log
    following = "/"
    try:
        document = _document(await request.body(), is_form)
        following = _own_page(document.next)
        key = _key(request, document.key.strip())
    except Refusal as refusal:
        access_log.denied(request.scope, refusal)
        if not is_form:
            raise
        return _page(following, "", refusal.detail, refusal.status)
    access_log.signed_in(request.scope, key)
    answer: Response = RedirectResponse(following, 303)
    if not is_form:
        answer = JSONResponse({"name": key.name, "scopes": sorted(key.scopes), "lasts_s": SESSION_LASTS_S})
    sessions = _known_keys(request).sessions
    if (before := request.scope["state"]["session"]) is not None:
        sessions.end(before)
    token = sessions.begin(key.name)
    answer.set_cookie(cookie_name(request.headers), token, max_age=int(SESSION_LASTS_S), **_attributes(request))
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post(SIGN_OUT_PATH)
def post_sign_out(request: Request) -> Response:
    """End the session of this browser; one that has ended already is no fault."""
    key, token = request.scope["state"]["key"], request.scope["state"]["session"]
    if token is not None:
        _known_keys(request).sessions.end(token)
        request.app.state.access_log.signed_out(request.scope, key)
    answer = RedirectResponse(SIGN_IN_PATH, 303, {"Cache-Control": "no-store"})
    answer.delete_cookie(cookie_name(request.headers), **_attributes(request))
    return answer


def _document(body: bytes, is_form: bool) -> SignInDocument:
    """What was sent. Raises Refusal."""
    try:
        sent: Any = {k: v[-1] for k, v in parse_qs(body.decode()).items()} if is_form else json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is not {'a form' if is_form else 'JSON'}: {error}") from None
    try:
        return parse_document(SignInDocument, sent)
    except InvalidDocument as faults:
        raise Refusal(422, str(faults), faults.faults) from None


def _key(request: Request, secret: str) -> Key:
    """Raises Refusal for an unknown key, and after many of them."""
    key = _known_keys(request).by_secret(secret, client_address(request.scope))
    if key is None:
        raise Refusal(401, "This key is unknown or was revoked", headers={"WWW-Authenticate": 'Bearer realm="loadstone"'})
    return key


def _known_keys(request: Request) -> KnownKeys:
    found: KnownKeys = request.app.state.known_keys
    return found


def _own_page(wanted: str) -> str:
    """The page to show next: one of this site's, the first where another address is wanted."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    own = not parts.scheme and not parts.netloc and parts.path in [path for path, _ in PAGES]
    return f"{parts.path}?{parts.query}" if own and parts.query else parts.path if own else "/"


def _attributes(request: Request) -> dict[str, Any]:
    """Attributes of the cookie: no script reads it, and no other site's page sends it along; over TLS it is sent over TLS only."""
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
    return {"httponly": True, "samesite": "strict", "secure": secure, "path": "/"}


def _page(following: str, key: str, fault: str = "", status: int = 200) -> HTMLResponse:
    values = {"next": following, "key": key, "fault": fault, "hours": round(SESSION_LASTS_S / 3600)}
    return HTMLResponse(templates().get_template("sign_in.html").render(values), status, {"Cache-Control": "no-store"})
