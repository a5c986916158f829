"""`loadstone --help` answers fast: it imports nothing that only a running command needs; and a command imports only what it uses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {"numpy", "sqlalchemy", "fastapi", "highspy", "pandas"}


@pytest.mark.parametrize("words", [[], ["settle"], ["rigs", "serve"]])
def test_help_imports_no_heavy_module(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dispatch.cli", *words, "--help"],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Usage: " in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not HEAVY & imported
    # The logging set-up of a command is not needed for the list of commands.
    assert words or not {"structlog", "asyncio"} & imported


def test_a_plan_imports_no_ledger_no_web_client_and_no_rig_library() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "dispatch.cli", "plan", "--config", "config/demo-site.toml", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "highspy" in imported and not {"sqlalchemy", "httpx", "fastapi", "pandas", "scipy", "pulp", "pyasic", "pymodbus"} & imported
