"""A new version is sent once, received by a real web server; a failure is logged without any part of the address."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dispatch.decide.state import State
from dispatch.service.nightly_settlement import SETTLE_AFTER, NightlySettlement
from dispatch.site_file.load import check_site_file, setup_from_document
from dispatch.store.statements import kept_statement
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)
HOST, TOKEN = "127.29.9.1", "s3cret-t0ken"


class Webhook(ThreadingHTTPServer):
    """Somebody's webhook."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), Hook)
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"json://{HOST}:{self.server_port}/{TOKEN}"


class Hook(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Says nothing on standard error."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def site_day(folder: Path, *references: str) -> HandMadeDay:
    made = HandMadeDay.of(folder, ON, extra=f"[reports]\nnotify = {json.dumps(references)}\n")
    made.prices(lambda n: 20.0)
    made.run_all()
    made.seen()
    return made


async def ended(here: HandMadeDay, *, notifies: bool = True) -> NightlySettlement:
    """A night in which the day is settled."""
    nightly = NightlySettlement(here.setup, here.folder, here.engine, here.telemetry, at_once=True, notifies=notifies)
    for at in (here.day.start + timedelta(hours=1), here.day.end + SETTLE_AFTER):
        await nightly(at, State.start(here.setup, setup_from_document))
    return nightly


async def test_a_new_version_is_sent_once_and_a_corrected_one_with_its_difference(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_HOOK", webhook.address)
    here = site_day(tmp_path, "env:DESK_HOOK")
    nightly = await ended(here)
    ((path, first),) = webhook.got
    assert path == f"/{TOKEN}" and first["title"] == "Hand-made, 2026-07-01: $62.15"
    assert "Hand-made earned $62.15" in first["message"] and "Actions:\n- None." in first["message"]
    start = here.day.end + SETTLE_AFTER
    here.seen(start + timedelta(minutes=62), here.price(here.grid.intervals[40], 25.0, start + timedelta(minutes=61)))
    await nightly(start + timedelta(minutes=70), State.start(here.setup, setup_from_document))
    await nightly(start + timedelta(minutes=140), State.start(here.setup, setup_from_document))
    assert len(webhook.got) == 2, "settled again without a change, nothing is sent"
    assert "Version 2: -$0.06 compared with version 1." in webhook.got[1][1]["message"]
    text = json.dumps(here.setup.document)
    assert "env:DESK_HOOK" in text and TOKEN not in text


async def test_a_failed_message_delays_nothing_and_its_log_has_no_address(
    tmp_path: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that refuses, text that is not an address, a closed port, a missing file, an unset variable: each is logged."""
    caplog.set_level(logging.DEBUG)
    with Webhook() as gone:
        closed = gone.address
    addresses = {"refuses": webhook.address, "odd": f"nonsense://{TOKEN}", "closed": closed}
    for name, address in addresses.items():
        (tmp_path / name).write_text(address + "\n", "utf-8")
    webhook.status = 500
    here = site_day(tmp_path, *(f"file:{name}" for name in addresses), "file:missing", "env:NOT_SET_ANYWHERE")
    with capture_logs() as said:
        await ended(here)
    assert kept_statement(here.engine, ON, here.day.market.value) is not None and len(webhook.got) == 1
    logged = {line["reference"]: line["event"] for line in said if "reference" in line}
    assert logged == {
        "file:refuses": "Notification not sent. The notification service rejected the message.",
        "file:odd": "Notification not sent. apprise does not recognize the address.",
        "file:closed": "Notification not sent. The notification service rejected the message.",
        "file:missing": "Notification not sent: the reference to its address cannot be read.",
        "env:NOT_SET_ANYWHERE": "Notification not sent: the reference to its address cannot be read.",
    }
    assert TOKEN not in str(said) and TOKEN not in caplog.text


async def test_a_replay_sends_nothing(tmp_path: Path, webhook: Webhook) -> None:
    (tmp_path / "hook").write_text(webhook.address, "utf-8")
    await ended(site_day(tmp_path, "file:hook"), notifies=False)
    assert webhook.got == []


@pytest.mark.parametrize("plain", [f"json://desk.example/{TOKEN}", "mailto://me:pass@example.com", "env:", "", 7])
def test_check_refuses_an_address_in_the_file(tmp_path: Path, plain: object) -> None:
    here = HandMadeDay.of(tmp_path, ON)
    path = tmp_path / "site.toml"
    path.write_text(path.read_text("utf-8") + f"[reports]\nnotify = [{json.dumps(plain)}]\nnotfy = 1\n", "utf-8")
    faults = check_site_file(path).faults
    assert len(faults) == 2 and any("notfy" in fault and "notify" in fault for fault in faults)
    (fault,) = (f for f in faults if "notfy" not in f)
    assert "reports.notify" in fault and TOKEN not in fault and "pass@" not in fault
    assert here.setup.reports.notify == ()
