"""Errors of the command line: one line that says what is wrong, and the exit status of the contract."""

from __future__ import annotations

import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dispatch.site_file.defaults import DEMO_SITE, default_file
from tests.e2e.site import run_json, run_loadstone

DEMONSTRATION = default_file(DEMO_SITE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "nope"),
        (["plan"], "--config"),
        (["run", "--speed", "x"], "--speed"),
        (["run", "--listen", "foo", "--data", "d"], "--listen: 'foo' is not HOST:PORT"),
        (["run", "--until", "2020-01-01T00:00:00Z", "--data", "d"], "--until"),
        (["run", "--data", "file"], "file"),
        (["restore", "nofile", "d"], "nofile"),
        (["plan", "--config", str(DEMONSTRATION), "--lp", "no/where.lp"], "no/where.lp"),
        (["settle", "2026-08-20", "--data", "d"], "no ledger"),
        (["what-if", "file", "--config", str(DEMONSTRATION)], "is not JSON"),
    ],
)
def test_a_wrong_argument_gives_one_line_and_exit_status_2(arguments: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("neither", "utf-8")
    done = run_loadstone(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_port_in_use_gives_exit_status_3(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = run_loadstone("run", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.returncode == 3, done.stderr
    assert "cannot be listened on" in done.stderr and "Traceback" not in done.stderr


def test_verify_redecide_and_settle_report_a_tampered_journal_row(tmp_path: Path) -> None:
    """The changed row alters no decision: verify, redecide and settle report it, and a statement kept before is still given."""
    data, archive, site = tmp_path / "data", tmp_path / "archive", tmp_path / "site.toml"
    start = datetime(2026, 3, 8, 6, 0, tzinfo=UTC)
    rows = ["Interval Start,Interval End,Location,Market,SPP"]
    for k in range(24):
        at, end = (start + timedelta(minutes=15 * n) for n in (k - 8, k - 7))
        rows.append(f"{at.isoformat()},{end.isoformat()},LZ_WEST,REAL_TIME_15_MIN,{30 + k}.5")
    (tmp_path / "prices.csv").write_text("\n".join(rows) + "\n", "utf-8")
    site.write_text(DEMONSTRATION.read_text("utf-8").replace("pyasic", "simulated").replace(", subnet", " }  #"), "utf-8")
    assert run_loadstone("archive", "import", tmp_path / "prices.csv", "--archive", archive).returncode == 0
    span = ("--from", start.isoformat(), "--to", (start + timedelta(hours=2)).isoformat())
    done = run_loadstone("replay", "--config", site, "--archive", archive, *span, "--data", data)
    assert done.returncode == 0, done.stderr
    for arguments in (("verify", data), ("redecide", data)):
        assert run_json(*arguments)["findings"] == []
    kept = run_loadstone("settle", "2026-03-08", "--data", data, "--version", "1", "--json").stdout
    with sqlite3.connect(data / "ledger.sqlite") as ledger:
        for (name,) in ledger.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            ledger.execute(f"drop trigger {name}")
        ledger.execute("update journal set at = replace(at, '2026', '2027'), document = replace(document, '2026', '2027') where seq = 3")
    for arguments in (("verify", data), ("redecide", data)):
        assert "row 3" in run_json(*arguments, status=1)["findings"][0]
    settled = run_loadstone("settle", "2026-03-08", "--data", data)
    assert settled.returncode == 1 and "row 3" in settled.stderr and "Traceback" not in settled.stderr
    assert run_loadstone("settle", "2026-03-08", "--data", data, "--version", "1", "--json").stdout == kept
