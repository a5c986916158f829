"""The gate: hosts, origins, keys, sizes and media types, all before a body is looked at."""

from __future__ import annotations

import base64

import pytest

from dispatch.store.stop_file import StopFile
from dispatch.web.auth import MAX_BODY_BYTES, scope_needed
from dispatch.web.limits import RateLimit
from tests.dispatch.web.conftest import CALL, Here

JSON = {"Content-Type": "application/json"}


def status(here: Here, method: str, path: str, **more: object) -> int:
    answer = here.http.request(method, path, **more)  # type: ignore[arg-type]
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == answer.status_code
    return answer.status_code


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "[::2]", "a b", "127.0.0.1@evil.example"])
def test_a_foreign_host_header_is_refused(here: Here, host: str) -> None:
    assert status(here, "GET", "/api/v1/state", headers={"Host": host}) in (400, 403)


@pytest.mark.parametrize("host", ["localhost:8787", "127.0.0.1", "[::1]:80", "LOCALHOST"])
def test_loopback_host_headers_are_accepted(here: Here, host: str) -> None:
    assert status(here, "GET", "/api/v1/state", headers={"Host": host}) == 200


def test_a_request_through_a_proxy_is_never_local(here: Here) -> None:
    far = {"X-Forwarded-For": "192.0.2.7"}
    assert status(here, "GET", "/api/v1/state", headers=far) == 401
    assert status(here, "POST", "/api/v1/what-if", json={}, headers=far) == 401
    assert status(here, "GET", "/api/v1/state", headers={**far, **here.keyed("read")}) == 200
    assert status(here, "POST", "/api/v1/what-if", json={}, headers={**far, **here.keyed("read")}) == 403
    assert status(here, "GET", "/api/v1/health/live", headers=far) == 200
    basic = "Basic " + base64.b64encode(f"any:{here.keys['read']}".encode()).decode()
    assert status(here, "GET", "/", headers={**far, "Authorization": basic}) == 200


@pytest.mark.parametrize("path", ["calls", "awards", "holds"])
def test_sending_signals_needs_a_key_of_scope_dispatch(here: Here, path: str) -> None:
    """Before the body is parsed: this one is no JSON at all."""
    ask = {"content": b"{", "headers": JSON}
    assert status(here, "POST", f"/api/v1/{path}", **ask) == 401
    assert status(here, "POST", f"/api/v1/{path}", content=b"{", headers={**JSON, **here.keyed("whatif")}) == 403
    assert status(here, "POST", f"/api/v1/{path}", content=b"{", headers={**JSON, **here.keyed("dispatch")}) == 400
    assert status(here, "POST", f"/api/v1/{path}", content=b"{", headers={**JSON, "X-API-Key": here.keys["admin"]}) == 400


@pytest.mark.parametrize("value", ["Bearer nobody.x", "Bearer", "Basic !", "Digest a", "Bearer of-dispatch.wrong"])
def test_an_unknown_key_is_refused_even_where_none_is_needed(here: Here, value: str) -> None:
    assert status(here, "GET", "/api/v1/state", headers={"Authorization": value}) == 401


def test_a_key_sent_as_basic_cannot_send_signals(here: Here) -> None:
    basic = "Basic " + base64.b64encode(f"any:{here.keys['dispatch']}".encode()).decode()
    assert status(here, "POST", "/api/v1/calls", json=CALL, headers={"Authorization": basic}) == 403


def test_a_page_of_another_origin_cannot_post(here: Here) -> None:
    assert status(here, "POST", "/api/v1/what-if", json={}, headers={"Origin": "https://evil.example"}) == 403
    assert status(here, "POST", "/api/v1/what-if", json={}, headers={"Origin": here.address}) == 200


def test_wrong_media_type_or_size_is_refused(here: Here) -> None:
    assert status(here, "POST", "/api/v1/what-if", content=b"{}", headers={"Content-Type": "text/plain"}) == 415
    assert status(here, "POST", "/api/v1/what-if", content=b"{}") == 415
    assert status(here, "POST", "/api/v1/what-if", content=b" " * (MAX_BODY_BYTES + 1), headers=JSON) == 413
    pieces = (b" " * 200_000 for _ in range(6))
    assert status(here, "POST", "/api/v1/what-if", content=pieces, headers=JSON) == 413


def test_unsupported_methods_are_405(here: Here) -> None:
    assert status(here, "PUT", "/api/v1/state") == 405
    assert status(here, "POST", "/api/v1/plan", json={}) == 405
    assert scope_needed("POST", "/api/v1/calls") == "dispatch" and scope_needed("DELETE", "/api/v1/holds/x") == "dispatch"


def test_every_answer_has_security_headers(here: Here) -> None:
    for path in ("/", "/api/v1/state", "/api/v1/nothing"):
        headers = here.http.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"] and "unsafe-eval" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_a_key_has_so_many_requests_a_minute() -> None:
    now_s = [0.0]
    limit = RateLimit(3, 60.0, lambda: now_s[0])
    for _ in range(3):
        assert not limit.reached("key")
        limit.count("key")
    assert limit.reached("key") and not limit.reached("another")
    now_s[0] = 60.5
    assert not limit.reached("key")


def test_a_stop_by_key_lasts_until_it_is_ended(here: Here) -> None:
    assert status(here, "POST", "/api/v1/stop") == 401
    assert here.http.post("/api/v1/stop", headers=here.keyed("dispatch")).json() == {
        "in_force": True,
        "by": "of-dispatch",
        "repeated": False,
    }
    assert StopFile(here.data).in_force()
    assert here.http.post("/api/v1/resume", headers=here.keyed("dispatch")).json() == {
        "in_force": False,
        "by": "of-dispatch",
        "repeated": False,
    }
    assert not StopFile(here.data).in_force()
