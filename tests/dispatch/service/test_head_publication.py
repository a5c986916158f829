"""Heads are posted to a real web server and added to files; one that cannot be reached keeps nobody else from hearing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dispatch.service.head_publication import publish_heads
from dispatch.store.inbox import Inbox
from dispatch.store.published_heads import heads_document, published_findings
from dispatch.store.tables import open_ledger, reading
from tests.fakes import NOON
from tests.sites import small

HOST, TOKEN = "127.29.9.2", "s3cret-t0ken"


class Elsewhere(ThreadingHTTPServer):
    """Another machine that keeps heads; it answers with `status`."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), Keeper)
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.status = 200


class Keeper(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_POST(self) -> None:
        self.server.got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Says nothing on standard error."""


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_heads_are_posted_and_a_keeper_that_refuses_them_is_logged_without_its_address(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADS", f"http://{HOST}:{elsewhere.server_port}/{TOKEN}")
    monkeypatch.setenv("GONE", f"http://{HOST}:1/{TOKEN}")
    heads = tmp_path / "heads.jsonl"
    setup = small(reports={"head_webhooks": ["env:GONE", "env:HEADS", "env:NOT_SET"], "head_files": [str(heads)]})
    engine = open_ledger(tmp_path / "data")
    Inbox(engine).put("hold", {"id": "h"}, "ops")
    with capture_logs() as logs:
        publish_heads(engine, setup, NOON)
    posted = heads_document(engine, NOON)
    assert posted["records"]["seq"] == 1 and elsewhere.got == [(f"/{TOKEN}", posted)]
    assert [json.loads(line) for line in heads.read_text("utf-8").splitlines()] == [posted]
    assert [log["reference"] for log in logs] == ["env:GONE", "env:NOT_SET"] and TOKEN not in str(logs)
    elsewhere.status = 500
    with capture_logs() as logs:
        publish_heads(engine, setup, NOON)
    assert [log["reference"] for log in logs] == ["env:GONE", "env:HEADS", "env:NOT_SET"]
    with reading(engine) as connection:
        assert list(published_findings(connection, [heads])) == []
    engine.dispose()
