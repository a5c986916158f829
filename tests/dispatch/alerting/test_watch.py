"""A running site's alerts reach a real web server: once, also over a restart, and again when nobody took them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch.alerting.conditions import AlertCondition, SiteUnknown
from dispatch.alerting.watch import AlertWatch
from dispatch.cli import app
from dispatch.commands import Ended
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import check_site_file, load_site_file
from tests.dispatch.alerting.test_send import Webhook, webhook

__all__ = ["webhook"]
START = datetime(2026, 8, 20, 17, 0, tzinfo=UTC)


class Clock:
    """Moves five seconds at each reading."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=5)
        return self.at


async def looks(watch: AlertWatch, n: int) -> None:
    for _ in range(n):
        await watch.look_once()


@pytest.fixture
def site_file(tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ON_CALL", webhook.address)
    file = tmp_path / "site.toml"
    text = default_file(DEMO_SITE).read_text("utf-8")
    file.write_text(text + '\n[alerts]\nto = ["env:ON_CALL", "file:missing"]\nafter_s = 10\nclear_s = 10\n', "utf-8")
    return file


async def test_an_alert_is_sent_once_over_a_restart_and_so_is_its_end(tmp_path: Path, webhook: Webhook, site_file: Path) -> None:
    found = {"loop": AlertCondition("last heard of 300 s ago", urgent=True)}
    setup, clock = load_site_file(site_file), Clock()
    await looks(AlertWatch(setup, tmp_path, lambda: found, clock), 6)
    again = AlertWatch(setup, tmp_path, lambda: found, clock)
    await looks(again, 6)
    assert [document["title"] for _, document in webhook.got] == [f"{setup.site.name}: 1 alert"]
    assert webhook.got[0][1]["message"] == "loop: last heard of 300 s ago"
    found.clear()
    await looks(again, 6)
    assert [document["title"] for _, document in webhook.got][1:] == [f"{setup.site.name}: 1 ended"]


async def test_while_the_site_is_unknown_nothing_is_said_to_have_ended(tmp_path: Path, webhook: Webhook, site_file: Path) -> None:
    readable = False

    def look() -> dict[str, AlertCondition]:
        if not readable:
            raise SiteUnknown("the ledger does not respond")
        return {"feed": AlertCondition("silent")}

    setup, clock = load_site_file(site_file), Clock()
    await looks(AlertWatch(setup, tmp_path, lambda: {"feed": AlertCondition("silent")}, clock), 6)
    watch = AlertWatch(setup, tmp_path, look, clock)
    await looks(watch, 6)
    assert [document["message"] for _, document in webhook.got] == ["feed: silent", "ledger: the ledger does not respond"]
    readable = True
    await looks(watch, 6)
    assert [document["message"] for _, document in webhook.got][2:] == ["ended: ledger (was: the ledger does not respond)"]


async def test_nothing_is_sent_before_anything_is_known(tmp_path: Path, webhook: Webhook, site_file: Path) -> None:
    setup, clock = load_site_file(site_file), Clock()
    await looks(AlertWatch(setup, tmp_path, lambda: {"feed": AlertCondition("silent")}, clock), 6)
    await looks(AlertWatch(setup, tmp_path, lambda: None, clock), 6)
    assert len(webhook.got) == 1


async def test_what_nobody_took_is_tried_again(tmp_path: Path, webhook: Webhook, site_file: Path) -> None:
    webhook.status = 500
    watch = AlertWatch(load_site_file(site_file), tmp_path, lambda: {"feed": AlertCondition("silent")}, Clock())
    await looks(watch, 6)
    assert len(webhook.got) == 1, "not tried at every look"
    webhook.status = 200
    await looks(watch, 20)
    assert len(webhook.got) == 2


def test_the_test_command_says_which_address_took_the_message(webhook: Webhook, site_file: Path) -> None:
    runner = CliRunner()
    with pytest.raises(Ended) as ended:
        runner.invoke(app, ["alerts", "test", "--config", str(site_file)], standalone_mode=False, catch_exceptions=False)
    assert ended.value.status == 1 and len(webhook.got) == 1
    said = runner.invoke(app, ["alerts", "test", "--config", str(site_file)], standalone_mode=False).stdout.splitlines()
    assert said == ["env:ON_CALL: taken", "file:missing: not sent: the reference to its address cannot be read."]


@pytest.mark.parametrize("wrong", ["22-6", "22:00-22:00", "late", "22:00+01:00-06:00"])
def test_check_refuses_quiet_hours_that_are_no_span_of_the_day(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(default_file(DEMO_SITE).read_text("utf-8") + f'\n[alerts]\nquiet_hours = "{wrong}"\n', "utf-8")
    (fault,) = check_site_file(file).faults
    assert "alerts" in fault and "22:00-06:00" in fault
