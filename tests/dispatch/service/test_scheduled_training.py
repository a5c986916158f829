"""When price models of a running site are due, and the child process that trains them."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from dispatch.clock import VirtualClock
from dispatch.service.scheduled_training import next_hour, not_due, train_in_child, train_on_schedule
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import load_site_file
from dispatch.store.price_models import KeptPriceModel, keep_price_model, newest_trained_at
from dispatch.store.tables import open_ledger
from markets.grid import Market
from tests.dispatch.backtest.archives import POINT, archive_of, spiky_prices

NOW = datetime(2026, 8, 20, 8, tzinfo=UTC)
WEEK = timedelta(days=7)


def test_the_hour_is_the_markets_own_across_a_change_of_the_clock() -> None:
    assert next_hour(NOW, Market.ERCOT, 3) == datetime(2026, 8, 21, 8, tzinfo=UTC)  # it is 03:00 already
    assert next_hour(NOW - timedelta(minutes=1), Market.ERCOT, 3) == NOW
    assert next_hour(datetime(2026, 11, 1, 5, tzinfo=UTC), Market.ERCOT, 3).astimezone(Market.ERCOT.tz).date() == date(2026, 11, 1)


def test_a_model_is_due_when_time_has_passed_and_the_archive_is_newer(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    archive = archive_of(tmp_path / "archive", NOW - timedelta(days=2), spiky_prices(2))
    assert not_due(engine, archive, POINT, NOW, WEEK) == ""
    assert "has no real-time price of it" in not_due(engine, archive, "HB_NONE", NOW, WEEK)
    assert "over 7 days old" in not_due(engine, archive, POINT, NOW + timedelta(days=8), WEEK)
    keep_price_model(engine, KeptPriceModel(POINT, 1, NOW - timedelta(days=3), "{}"), "ercot", accepted=False)
    assert newest_trained_at(engine, POINT) == NOW - timedelta(days=3)
    assert not_due(engine, archive, POINT, NOW, WEEK).startswith("it was trained at 2026-08-17")
    assert not_due(engine, archive, POINT, NOW, timedelta(days=2)) == ""
    keep_price_model(engine, KeptPriceModel(POINT, 2, NOW + timedelta(hours=1), "{}"), "ercot", accepted=True)
    assert not_due(engine, archive, POINT, NOW + timedelta(days=3), timedelta(days=2)) == "the archive has no price since it was trained"


async def test_training_that_fails_is_logged_and_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = archive_of(tmp_path / "archive", NOW - timedelta(days=2), spiky_prices(2))
    await train_in_child(archive, POINT, tmp_path)
    printed = capsys.readouterr().out
    assert "could not be trained" in printed and "days of real-time prices are too few" in printed


async def test_a_damaged_archive_is_logged_and_the_site_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = archive_of(tmp_path / "archive", NOW - timedelta(days=2), spiky_prices(2))
    for file in archive.rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    config = tmp_path / "site.toml"
    training = f'\n[training]\narchive = "{archive}"\nhour = 3\n'
    config.write_text(default_file(DEMO_SITE).read_text("utf-8") + training, "utf-8")
    running = asyncio.create_task(
        train_on_schedule(open_ledger(tmp_path), load_site_file(config), tmp_path, VirtualClock(NOW - timedelta(hours=1)))
    )
    await asyncio.sleep(1.0)
    assert not running.done() and "could not be trained" in capsys.readouterr().out
    running.cancel()
