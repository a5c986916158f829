"""SIGKILL to any process of a running site, at random: no acknowledged row is lost, no command has two effects, the site recovers.
`python -m tests.kill` does 200 rounds and says how soon the site was back in command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.site import run_loadstone
from tests.kill import kill_rounds


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(6, marks=pytest.mark.slow(sample="only")),
        pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    ],
)
def test_site_survives_sigkill_of_any_process(rounds: int, tmp_path: Path) -> None:
    kills = kill_rounds(tmp_path / "data", rounds)
    assert sum(map(len, kills.back_s.values())) == rounds and kills.acknowledged > 0


def test_verify_and_redecide_report_a_folder_without_a_ledger(tmp_path: Path) -> None:
    for command in ("verify", "redecide"):
        done = run_loadstone(command, tmp_path)
        assert done.returncode == 2 and "no ledger" in done.stderr
