"""`loadstone init`: from answers, from a scan over real sockets, and at a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
import tomllib
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dispatch.cli import app
from dispatch.clock import VirtualClock
from dispatch.commands import Ended
from dispatch.new_site.contracts import contract_of
from dispatch.new_site.proposed_groups import ProposedGroup
from dispatch.new_site.site_document import NewSite, site_text
from dispatch.rigs.wire import Dialect
from dispatch.site_file.defaults import default_file
from dispatch.site_file.load import check_site_file, load_site_file
from dispatch.site_file.rig_catalogue import read_rig_catalogue
from markets.grid import Market
from tests.dispatch.rigs.test_makes import served

MODELS = read_rig_catalogue(default_file("rigs.toml")).models
ANSWERS = ["--market", "ercot", "--name", "Pecos 1", "--settlement-point", "LZ_WEST_EW", "--interconnect-mw", "20"]
MONEY = ["--usd-per-ph-day", "45", "--contract", "block:mw=5,usd_per_mwh=31.5", "--contract", "4cp:usd_per_kw_year=70"]


def refused(folder: Path, flags: list[str]) -> None:
    """Run the command and let what it raises through."""
    CliRunner().invoke(app, ["init", "--out", str(folder / "site.toml"), *flags], standalone_mode=False, catch_exceptions=False)


def test_answers_become_a_site_that_check_accepts(tmp_path: Path) -> None:
    out = tmp_path / "site.toml"
    rigs = ["--rigs", "antminer-s21=2000@a", "--rigs", "whatsminer-m60s=1000@b"]
    done = CliRunner().invoke(app, ["init", "--out", str(out), *ANSWERS, *rigs, *MONEY, "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["rigs"] == 3000
    setup = load_site_file(out)
    assert [(g.name, g.rigs) for g in setup.site.groups] == [("a-s21", 2000), ("b-m60s", 1000)]
    assert {"block", "4cp"} <= {contract.name for contract in setup.book}
    assert check_site_file(out).faults == ()


def test_missing_answers_are_named_all_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Ended) as ended:
        CliRunner().invoke(
            app, ["init", "--out", str(tmp_path / "site.toml"), "--market", "miso"], standalone_mode=False, catch_exceptions=False
        )
    missing = {line.partition(" is missing")[0] for line in ended.value.lines}
    assert missing == {"--name", "--settlement-point", "--interconnect-mw", "--usd-per-ph-day", "--rigs or --scan"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--contract", "4cp:usd_per_kw_year=70,mw=3"], "is not 4cp:usd_per_kw_year="),
        (["--contract", "capacity:zone=6"], "is not one of block, 4cp, demand"),
        (["--rigs", "s21=5"], "not in the catalogue"),
        (["--scan", "8.8.8.0/24"], "is public"),
        (["--scan", "10.0.0.0/16"], "65,536 addresses"),
        (["--scan", "10.0.0.0/24", "--hall", "a"], "NAME=SUBNET"),
        (["--rigs", "antminer-s21=5", "--interconnect-mw", "-1"], "interconnect_mw"),
    ],
)
def test_a_wrong_answer_says_what_is_wrong_and_nothing_is_written(tmp_path: Path, flags: list[str], message: str) -> None:
    given = [*ANSWERS, "--usd-per-ph-day", "45", *(() if "--rigs" in flags or "--scan" in flags else ("--rigs", "antminer-s21=10"))]
    with pytest.raises(Ended, match=message):
        CliRunner().invoke(
            app, ["init", "--out", str(tmp_path / "site.toml"), *given, *flags], standalone_mode=False, catch_exceptions=False
        )
    assert list(tmp_path.iterdir()) == []


async def test_a_scan_becomes_a_site_whose_rigs_can_be_read(tmp_path: Path) -> None:
    """Rigs of two makes over TCP: found, grouped by hall, mapped, and read by `doctor` through the file that was written."""
    clock, out = VirtualClock(datetime(2026, 8, 20, tzinfo=UTC)), tmp_path / "site.toml"
    async with AsyncExitStack() as open_:
        for dialect, subnet in ((Dialect.LUXOS, "127.58.0.0/29"), (Dialect.WHATSMINER_V2, "127.58.0.8/29")):
            await open_.enter_async_context(served(dialect, subnet, 2, clock))
        halls = ["--hall", "a=127.58.0.0/29", "--hall", "b=127.58.0.8/29"]
        command = [sys.executable, "-m", "dispatch.cli"]
        scan = [*command, "init", "--out", str(out), *ANSWERS, *MONEY, "--scan", "127.58.0.0/28", *halls]
        child = await asyncio.create_subprocess_exec(*scan, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        said, noted = await child.communicate()
        assert child.returncode == 0, noted.decode()
        setup = load_site_file(out)
        assert {(g.hall, g.rigs, str(g.driver["kind"])) for g in setup.site.groups} == {("a", 2, "pyasic"), ("b", 2, "pyasic")}
        assert "4 rigs answered" in noted.decode() and "4 rigs" in said.decode()
        examine = [*command, "doctor", "--config", str(out), "--data", str(tmp_path / "data"), "--json"]
        child = await asyncio.create_subprocess_exec(
            *examine, stdout=asyncio.subprocess.PIPE, env={**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9"}
        )
        checks = {check["name"]: check for check in json.loads((await child.communicate())[0])["checks"]}
    assert {name: check["verdict"] for name, check in checks.items() if name.startswith("rigs ")} == {
        f"rigs {g.name}": "pass" for g in setup.site.groups
    }
    assert checks["feed prices"]["verdict"] == "fail"


def test_what_no_flag_says_is_asked_at_a_terminal(tmp_path: Path) -> None:
    out = tmp_path / "site.toml"
    answers = ["tariff", "Mill Creek", "LARGE-POWER", "10", "", "tariff-rate.toml", "45", "", "3.4", "", "n", "antminer-s21=800"]
    (tmp_path / "tariff-rate.toml").write_text(default_file("tariff-rate.toml").read_text("utf-8"), "utf-8")
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover (the child is the command)
        os.execv(sys.executable, [sys.executable, "-m", "dispatch.cli", "init", "--out", str(out)])
    os.write(terminal, "".join(f"{answer}\n" for answer in answers).encode())
    said = b""
    try:
        while chunk := os.read(terminal, 4096):
            said += chunk
    except OSError:  # the terminal ends with the command
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said.decode()
    assert b"What rigs do when no price is known" in said
    document = tomllib.loads(out.read_text("utf-8"))
    assert document["prices"] == {"source": "tariff", "file": "tariff-rate.toml"}
    assert document["groups"][0]["rigs"] == 800 and document["site"]["safe_state"] == "hold"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)
MW = st.floats(0.5, 500, allow_nan=False)


@given(name=TEXT, market=st.sampled_from([Market.ERCOT, Market.MISO]), mw=MW, counts=st.lists(st.integers(1, 5000), min_size=1, max_size=3))
def test_any_answers_within_bounds_give_a_file_that_loads(
    tmp_path_factory: pytest.TempPathFactory, name: str, market: Market, mw: float, counts: list[int]
) -> None:
    groups = [ProposedGroup(f"{hall}-s21", hall, "antminer-s21", rigs) for hall, rigs in zip("abc", counts, strict=False)]
    book = [contract_of(f"block:mw={mw / 2},usd_per_mwh=30", market)]
    site = NewSite(name, market, "P.1", mw, groups, {"source": "gridstatus"}, {"source": "fixed", "usd_per_ph_day": 45.0}, book)
    file = tmp_path_factory.mktemp("site") / "site.toml"
    file.write_text(site_text(site, MODELS), "utf-8")
    assert check_site_file(file).faults == ()
