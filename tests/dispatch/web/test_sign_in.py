"""Signing in with a key: the cookie, what may be done with it, and everything that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from dispatch.store.inbox import Inbox
from dispatch.store.keys import ApiKey, ApiKeys
from dispatch.store.tables import api_keys, open_ledger, writing
from dispatch.web.known_keys import SESSION_LASTS_S, SESSIONS_A_KEY, KnownKeys
from dispatch.web.limits import WRONG_KEYS_AN_ADDRESS
from tests.dispatch.web.conftest import Here
from tests.dispatch.web.served import key, run_site, served
from tests.fakes import NOON
from tests.sites import small

FAR = {"X-Forwarded-For": "192.0.2.7"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
HOLD = {"group": "a-old", "mode": "sleep"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    data, setup = tmp_path_factory.mktemp("site"), small()
    end = run_site(data, setup, 0.25)
    keys = {scope: key(data, f"of-{scope}", scope) for scope in ("read", "dispatch")}
    with served(data, setup, end) as address, httpx.Client(base_url=address, timeout=60) as http:
        yield Here(data, setup, end, address, http, keys)


@pytest.fixture
def own(site: Here) -> dict[str, str]:
    """What a browser sends with the requests of the site's own pages."""
    return {"Origin": site.address}


def signed_in(site: Here, scope: str = "dispatch", secret: str = "") -> dict[str, str]:
    """The Cookie header of a new session."""
    answer = httpx.post(f"{site.address}/sign-in", json={"key": secret or site.keys[scope]}, headers={"Origin": site.address})
    assert answer.status_code == 200, answer.text
    (cookie,) = answer.cookies.items()
    return {"Cookie": "=".join(cookie)}


def holds_by(site: Here) -> list[str]:
    engine = open_ledger(site.data)
    try:
        return [row.key_name for row in Inbox(engine).rows_of("hold")]
    finally:
        engine.dispose()


def test_a_form_is_answered_with_the_page_that_was_wanted_and_a_cookie_no_script_reads(site: Here, own: dict[str, str]) -> None:
    answer = httpx.post(f"{site.address}/sign-in", data={"key": site.keys["read"], "next": "/money?day=1"}, headers={**own, **FORM})
    assert answer.status_code == 303 and answer.headers["location"] == "/money?day=1"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SESSION_LASTS_S:.0f}"} <= set(cookie.split("; ")) and "Secure" not in cookie
    port = site.address.rpartition(":")[2]
    assert cookie.startswith(f"loadstone_session_{port}="), "two sites of one machine have cookies of their own"
    secured = httpx.post(f"{site.address}/sign-in", json={"key": site.keys["read"]}, headers={**own, "X-Forwarded-Proto": "https"})
    assert "Secure" in secured.headers["set-cookie"].split("; ")
    assert secured.json() == {"name": "of-read", "scopes": ["read"], "lasts_s": SESSION_LASTS_S}


def test_every_page_names_the_key_and_signs_out(site: Here, own: dict[str, str]) -> None:
    cookie = signed_in(site)
    text = httpx.get(f"{site.address}/plan", headers=cookie).text
    assert "of-dispatch" in text and 'action="/sign-out"' in text
    assert "of-dispatch" in httpx.get(f"{site.address}/sign-in", headers=cookie).text
    assert 'href="/sign-in?next=/plan"' in httpx.get(f"{site.address}/plan").text
    assert httpx.post(f"{site.address}/sign-out", headers=cookie).status_code == 403, "a foreign page signs nobody out"
    assert "of-dispatch" in httpx.get(f"{site.address}/plan", headers=cookie).text
    ended = httpx.post(f"{site.address}/sign-out", headers={**cookie, **own, **FORM})
    assert ended.status_code == 303 and ended.headers["location"] == "/sign-in" and "Max-Age=0" in ended.headers["set-cookie"]
    assert "of-dispatch" not in httpx.get(f"{site.address}/plan", headers=cookie).text
    assert httpx.get(f"{site.address}/api/v1/state", headers={**cookie, **FAR}).status_code == 401
    assert httpx.post(f"{site.address}/sign-out", headers={**cookie, **own}).status_code == 303, "signing out twice is no fault"


def test_signing_in_again_ends_the_session_before(site: Here, own: dict[str, str]) -> None:
    first = signed_in(site)
    assert httpx.post(f"{site.address}/sign-in", json={"key": site.keys["read"]}, headers={**own, **first}).status_code == 200
    assert httpx.get(f"{site.address}/api/v1/state", headers={**first, **FAR}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
    ],
)
def test_a_write_by_cookie_comes_from_a_page_of_this_site(site: Here, headers: dict[str, str], status: int) -> None:
    cookie, before = signed_in(site), holds_by(site)
    for method, path, body in (("POST", "/api/v1/holds", HOLD), ("POST", "/api/v1/what-if", {})):
        answer = httpx.request(method, f"{site.address}{path}", json=body, headers={**cookie, **headers}, timeout=60)
        assert answer.status_code == (200 if status == 202 and path.endswith("what-if") else status), answer.text
    assert holds_by(site) == before + ["of-dispatch"] * (status == 202)
    assert httpx.request("DELETE", f"{site.address}/api/v1/holds/x", headers={**cookie, **headers}).status_code in (status, 404)


def test_a_foreign_page_signs_nobody_in(site: Here) -> None:
    """Else a browser would work under a key that its owner does not know of."""
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = httpx.post(f"{site.address}/sign-in", json={"key": site.keys["read"]}, headers=headers)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers


def test_a_session_may_do_what_its_key_may(site: Here, own: dict[str, str]) -> None:
    reader = signed_in(site, "read")
    asked: Any = {"url": f"{site.address}/api/v1/what-if", "json": {}, "timeout": 60}
    assert httpx.post(**asked, headers={**reader, **own}).status_code == 200, "as any page of this machine may"
    assert httpx.post(**asked, headers={**reader, **own, **FAR}).status_code == 403
    refused = httpx.post(f"{site.address}/api/v1/holds", json=HOLD, headers={**reader, **own})
    assert refused.status_code == 403 and "no scope dispatch; it has read" in refused.json()["detail"]
    assert httpx.get(f"{site.address}/api/v1/state", headers={**reader, **FAR}).status_code == 200


def test_a_key_that_is_sent_outweighs_the_cookie(site: Here, own: dict[str, str]) -> None:
    cookie = signed_in(site)
    reads = {"Authorization": f"Bearer {site.keys['read']}"}
    assert httpx.post(f"{site.address}/api/v1/holds", json=HOLD, headers={**cookie, **own, **reads}).status_code == 403
    assert httpx.get(f"{site.address}/api/v1/state", headers={**cookie, "X-API-Key": "of-dispatch.wrong"}).status_code == 401


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        ({"json": {"key": "of-read.wrong"}}, 401, "unknown or was revoked"),
        ({"json": {"key": ""}}, 422, "key"),
        ({"json": {}}, 422, "key"),
        ({"json": {"key": 4}}, 422, "key"),
        ({"json": {"key": "x", "keey": "y"}}, 422, "keey"),
        ({"json": ["x"]}, 422, ""),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "JSON"),
        ({"content": b"key=x", "headers": {"Content-Type": "text/plain"}}, 415, "application/json"),
        ({"content": b"key=%ff\xff", "headers": FORM}, 400, "form"),
        ({"content": b"key=" + b"x" * 501, "headers": FORM}, 422, "key"),
        ({"content": b"", "headers": FORM}, 422, "key"),
        ({"content": b"key=wrong", "headers": FORM}, 401, "unknown or was revoked"),
    ],
)
def test_what_is_no_key_is_refused_in_a_sentence(site: Here, own: dict[str, str], sent: dict[str, Any], status: int, says: str) -> None:
    answer = httpx.post(f"{site.address}/sign-in", **{**sent, "headers": {**own, **sent.get("headers", {})}})
    assert answer.status_code == status and says in answer.text and "set-cookie" not in answer.headers
    form = sent.get("headers") == FORM
    assert answer.headers["content-type"].startswith("text/html" if form else "application/problem+json")


def test_forms_are_taken_for_signing_in_only(site: Here, own: dict[str, str]) -> None:
    assert httpx.post(f"{site.address}/api/v1/what-if", content=b"a=b", headers={**own, **FORM}).status_code == 415


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/plan", "/\\evil.example", "/api/v1/state", "plan", "/plan\r\nX: y", "http://[", ""]
)
def test_signing_in_leads_to_pages_of_this_site_only(site: Here, own: dict[str, str], wanted: str) -> None:
    answer = httpx.post(f"{site.address}/sign-in", data={"key": site.keys["read"], "next": wanted}, headers={**own, **FORM})
    assert (answer.status_code, answer.headers["location"]) in [(303, "/"), (303, "/plan")]
    assert "evil" not in httpx.get(f"{site.address}/sign-in", params={"next": wanted}).text


def test_who_opens_a_page_from_afar_is_asked_to_sign_in(site: Here) -> None:
    asks = {**FAR, "Accept": "text/html"}
    answer = httpx.get(f"{site.address}/plan", headers=asks)
    assert answer.status_code == 303 and answer.headers["location"] == "/sign-in?next=/plan"
    assert httpx.get(f"{site.address}/sign-in?next=/plan", headers=asks).status_code == 200
    assert httpx.get(f"{site.address}/static/loadstone.css", headers=asks).status_code == 200
    assert httpx.get(f"{site.address}/plan", headers={**asks, "Authorization": "Bearer nobody.x"}).status_code == 401
    assert httpx.get(f"{site.address}/api/v1/state", headers=asks).status_code == 401
    assert httpx.get(f"{site.address}/plan", headers=FAR).status_code == 401


def test_a_revoked_key_ends_its_sessions_and_streams_at_once(site: Here, own: dict[str, str]) -> None:
    cookie = signed_in(site, secret=key(site.data, "leaver", "dispatch"))
    assert httpx.get(f"{site.address}/api/v1/state", headers={**cookie, **FAR}).status_code == 200
    with httpx.stream("GET", f"{site.address}/api/v1/stream", headers={**cookie, **FAR}, timeout=60) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data:"))
        engine = open_ledger(site.data)
        assert ApiKeys(engine).revoke("leaver")
        engine.dispose()
        answer = httpx.post(f"{site.address}/api/v1/holds", json=HOLD, headers={**cookie, **own})
        assert answer.status_code == 401 and "sign in again" in answer.json()["detail"]
        assert httpx.get(f"{site.address}/api/v1/state", headers={**cookie, **FAR}).status_code == 401
        assert not [line for line in lines if line.startswith("data:")], "the stream ends by its next message"


def test_a_key_that_was_changed_in_the_ledger_ends_its_sessions(site: Here) -> None:
    cookie = signed_in(site, secret=key(site.data, "grown", "read"))
    engine = open_ledger(site.data)
    with writing(engine) as connection:
        connection.execute(api_keys.update().where(api_keys.c.name == "grown").values(scopes="admin"))
    engine.dispose()
    assert httpx.get(f"{site.address}/api/v1/state", headers={**cookie, **FAR}).status_code == 401


def test_signing_in_and_out_and_refusals_are_in_the_log(site: Here, own: dict[str, str]) -> None:
    with capture_logs() as lines:
        cookie = signed_in(site)
        httpx.post(f"{site.address}/sign-out", headers={**cookie, **own})
        httpx.post(f"{site.address}/sign-in", data={"key": "nobody.secret-text"}, headers={**own, **FORM})
    found = [(line["event"], line["path"], line.get("key"), line.get("status")) for line in lines]
    assert ("A person signed in.", "/sign-in", "of-dispatch", None) in found
    assert ("A person signed out.", "/sign-out", "of-dispatch", None) in found
    assert ("A request was denied.", "/sign-in", None, 401) in found
    assert "secret-text" not in str(lines) and cookie["Cookie"].partition("=")[2] not in str(lines)


def test_too_many_wrong_keys_are_refused_by_form_and_by_header_alike(site: Here, own: dict[str, str]) -> None:
    """Last, as this address has used up its wrong keys then."""
    for _ in range(WRONG_KEYS_AN_ADDRESS):
        httpx.post(f"{site.address}/sign-in", data={"key": "nobody.x"}, headers={**own, **FORM})
    by_form = httpx.post(f"{site.address}/sign-in", data={"key": "nobody.x"}, headers={**own, **FORM})
    assert by_form.status_code == 429 and "wrong keys" in by_form.text
    assert httpx.get(f"{site.address}/api/v1/state", headers={"X-API-Key": "nobody.x"}).status_code == 429
    assert httpx.get(f"{site.address}/api/v1/state", headers=signed_in(site)).status_code == 200


@dataclass(slots=True)
class Keys:
    """Keys by name, each with its own name as its secret."""

    names: set[str] = field(default_factory=lambda: {"a", "b"})
    now_s: float = 0.0

    def find(self, name: str) -> ApiKey | None:
        return ApiKey(name, frozenset({"read"}), NOON) if name in self.names else None


def test_sessions_end_by_time_by_their_key_and_by_number() -> None:
    keys = Keys()
    sessions = KnownKeys(keys.find, keys.find, lambda: keys.now_s).sessions
    first, other = sessions.begin("a"), sessions.begin("b")
    assert first != other and sessions.key(first) == keys.find("a") and sessions.key("guess") is None
    tokens = [sessions.begin("a") for _ in range(SESSIONS_A_KEY)]
    assert sessions.key(first) is None and all(map(sessions.key, tokens)) and sessions.key(other)
    keys.names.discard("a")
    assert not any(map(sessions.key, tokens))
    keys.names.add("a")
    assert not any(map(sessions.key, tokens)), "what has ended does not come back"
    keys.now_s = SESSION_LASTS_S
    assert sessions.key(other) is None
