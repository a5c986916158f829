"""No plan is made on a price nobody knows: not by the command line, not by a what-if, not by the control loop."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from dispatch.decide.state import State
from dispatch.entries import Planned, PriceBasisChanged
from dispatch.runtime import loop
from dispatch.service.replay import run_started
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import MemoryJournal
from tests.dispatch.worlds import world
from tests.fakes import NOON, FixedSource, hashprice, prices
from tests.sites import small

HOUR = timedelta(hours=1)


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A site whose prices come from an archive with nothing in it."""
    text = default_file(DEMO_SITE).read_text("utf-8")
    (tmp_path / "empty").mkdir()
    start = text.index("[prices]")
    end = text.index("\n[", start)
    file = tmp_path / "site.toml"
    file.write_text(text[:start] + '[prices]\nsource = "archive"\npath = "empty"\n' + text[end:], "utf-8")
    return file


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dispatch.cli", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("risk", [(), ("--risk", "0.5")])
def test_plan_on_an_unknown_price_ends_with_3_and_says_what_to_do(unknown: Path, risk: tuple[str, ...]) -> None:
    ended = _run("plan", "--config", str(unknown), "--at", "2026-08-20T18:00Z", "--json", *risk)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "no plan is made: no price at" in ended.stderr and "[prices]" in ended.stderr and "--archive" in ended.stderr


def test_what_if_on_an_unknown_price_ends_with_3(unknown: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text('{"prices": [{"set_usd": 900}]}', "utf-8")
    ended = _run("what-if", str(scenario), "--config", str(unknown), "--at", "2026-08-20T18:00Z")
    assert ended.returncode == 3 and "no plan is made: no price at" in ended.stderr


async def test_the_loop_makes_no_plan_while_no_price_is_known_and_one_as_soon_as_one_is() -> None:
    setup, journal = small(), MemoryJournal()
    source = FixedSource([hashprice(45.0, NOON - HOUR), *prices([30.0] * 8, NOON + HOUR)])
    made = world(setup, NOON, sources=[source])
    started = run_started("replay", setup, NOON, 1)
    await loop.run(made, journal, State.start(setup, setup_from_document), started, NOON + 2 * HOUR)
    entries = [entry for _, entry in journal.read()]
    changes = [e for e in entries if isinstance(e, PriceBasisChanged)]
    assert [c.price_basis for c in changes] == ["safe-state", "real-time"] and "safe state holds" in changes[0].why
    plans = [e for e in entries if isinstance(e, Planned)]
    assert plans and all(p.plan is not None for p in plans)
    assert plans[0].at == changes[1].at > NOON + HOUR, "the first plan comes with the first price, at the same tick"
