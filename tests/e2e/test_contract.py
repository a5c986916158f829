"""The contract's outside, as a user meets it: what is wrong is said in a line, with the exit status the contract gives it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dispatch.config import DEMO, default_file
from tests.e2e.site import loadstone

DEMONSTRATION = default_file(DEMO)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "nope"),
        (["plan"], "--config"),
        (["run", "--speed", "x"], "--speed"),
        (["run", "--listen", "foo", "--data", "d"], "--listen: 'foo' is not HOST:PORT"),
        (["run", "--until", "2020-01-01T00:00:00Z", "--data", "d"], "--until"),
        (["run", "--data", "file"], "file"),
        (["restore", "nofile", "d"], "nofile"),
        (["plan", "--config", str(DEMONSTRATION), "--lp", "no/where.lp"], "no/where.lp"),
        (["plan", "--config", str(DEMONSTRATION), "--risk", "0.5"], "not built"),
        (["settle", "2026-08-20", "--data", "d"], "no ledger"),
        (["what-if", "file", "--config", str(DEMONSTRATION)], "is not JSON"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_status_2(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("neither", "utf-8")
    done = loadstone(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_status_3(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = loadstone("run", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.returncode == 3, done.stderr
    assert "cannot be listened on" in done.stderr and "Traceback" not in done.stderr
