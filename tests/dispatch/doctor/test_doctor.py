"""`loadstone doctor`: each part of a site is tried, and each line says what to do."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch.cli import app
from dispatch.commands import Ended
from dispatch.doctor import Check, CheckResult
from dispatch.doctor.examine import examine
from dispatch.doctor.machine import clock_check, disk_check, machine_checks
from dispatch.store.keys import ApiKeys
from dispatch.store.tables import ledger_file, open_ledger

NOW = datetime(2026, 8, 20, 17, 0, tzinfo=UTC)
SITE = """
[site]
name = "Pecos 1"
market = "ercot"
settlement_point = "LZ_WEST"
interconnect_mw = 2.0

[[meters]]
id = "main"
driver = { kind = "modbus", host = "127.59.0.9", port = 5020, register = 0 }

[[halls]]
name = "a"
meter = "main"
limit_mw = 2.0

[[groups]]
name = "a-s21"
hall = "a"
model = "antminer-s21"
rigs = 3
driver = { kind = "pyasic", subnet = "127.59.1.0/29", dialect = "luxos" }

[[groups]]
name = "a-m60s"
hall = "a"
model = "whatsminer-m60s"
rigs = 3

[prices]
source = "archive"
path = "archive"

[hash]
source = "fixed"
usd_per_ph_day = 45.0

[[obligations]]
type = "ers"
product = "ERS-30"
mw = 0.1
max_base_load_mw = 0.5
usd_per_mw_hour = 7.25
periods = [{ name = "TP1", months = [8], weekdays = true, hours = [9, 10] }]

[[links]]
name = "qse"
kind = "webhook"
obligation = "ers"
listen = "127.0.0.1:8790"
secret = "env:NOT_SET_ANYWHERE"
"""


def examined(config: Path, data: Path) -> list[Check]:
    async def all_of_them() -> list[Check]:
        return [check async for check in examine(config, data, NOW)]

    return asyncio.run(all_of_them())


def test_what_does_not_answer_fails_with_what_to_do(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(SITE, "utf-8")
    (tmp_path / "archive").mkdir()
    checks = {check.name: check for check in examined(config, tmp_path / "data")}
    failed = {name: check for name, check in checks.items() if check.verdict is CheckResult.FAIL}
    assert set(failed) == {"meter main", "rigs a-s21", "link qse"}
    assert all(check.action for check in failed.values())
    assert checks["rigs a-s21"].found == "3 of 3 rigs did not answer: number 1, 2, 3 of the group."
    assert checks["rigs a-m60s"].verdict is CheckResult.WARN and "simulated" in checks["rigs a-m60s"].found
    assert (checks["feed prices"].verdict, checks["feed hash"].verdict) == (CheckResult.WARN, CheckResult.PASS)
    assert not (tmp_path / "data").exists(), "nothing is kept"


def test_a_site_file_with_faults_is_named_and_the_machine_is_tried_all_the_same(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(SITE.replace("interconnect_mw = 2.0", "interconnect_mw = -2"), "utf-8")
    checks = examined(config, tmp_path / "data")
    assert checks[0].verdict is CheckResult.FAIL and "interconnect_mw" in checks[0].found
    assert {check.name for check in checks[1:]} >= {"disk", "permissions", "ledger", "clock"}


def test_a_ledger_with_a_changed_key_fails(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    ApiKeys(engine).add("desk", ["read"])
    engine.dispose()
    assert {c.name: c.verdict for c in machine_checks(tmp_path, NOW)}["ledger"] is CheckResult.PASS
    with sqlite3.connect(ledger_file(tmp_path)) as raw:
        raw.execute("update api_keys set scopes = 'admin'")
    assert {c.name: c.verdict for c in machine_checks(tmp_path, NOW)}["ledger"] is CheckResult.FAIL


def test_a_data_folder_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    checks = {check.name: check for check in machine_checks(tmp_path, NOW)}
    assert checks["permissions"].verdict is CheckResult.WARN and "chmod 700" in checks["permissions"].action


@pytest.mark.parametrize(("free", "verdict"), [(10**8, CheckResult.FAIL), (2 * 10**9, CheckResult.WARN), (10**11, CheckResult.PASS)])
def test_a_full_disk_fails_and_one_that_fills_is_a_warning(tmp_path: Path, free: int, verdict: CheckResult) -> None:
    assert disk_check(tmp_path / "data", free).verdict is verdict


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        (["echo", "yes"], CheckResult.PASS),
        (["echo", "no"], CheckResult.WARN),
        (["no-such-program"], CheckResult.WARN),
        (["false"], CheckResult.WARN),
    ],
)
def test_the_clock_passes_only_where_the_machine_says_so(command: list[str], verdict: CheckResult) -> None:
    assert clock_check(command).verdict is verdict


def test_the_command_ends_with_1_when_a_check_fails(tmp_path: Path) -> None:
    config = tmp_path / "site.toml"
    config.write_text(SITE, "utf-8")
    (tmp_path / "archive").mkdir()
    flags = ["doctor", "--config", str(config), "--data", str(tmp_path / "data")]
    runner = CliRunner()
    with pytest.raises(Ended) as ended:
        runner.invoke(app, flags, standalone_mode=False, catch_exceptions=False)
    assert ended.value.status == 1
    document = json.loads(runner.invoke(app, [*flags, "--json"], standalone_mode=False).stdout)
    assert document["failed"] == 3 and {"name", "verdict", "found", "action"} == set(document["checks"][0])


def test_an_older_ledger_is_not_brought_to_this_version(tmp_path: Path) -> None:
    open_ledger(tmp_path).dispose()
    with sqlite3.connect(ledger_file(tmp_path)) as raw:
        raw.execute("update alembic_version set version_num = '0001'")
    checks = {check.name: check for check in machine_checks(tmp_path, NOW)}
    assert checks["ledger"].verdict is CheckResult.WARN and "version 0001" in checks["ledger"].found
    with sqlite3.connect(ledger_file(tmp_path)) as raw:
        assert raw.execute("select version_num from alembic_version").fetchall() == [("0001",)]
