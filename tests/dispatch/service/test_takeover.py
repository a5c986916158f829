"""A leader that is killed or paused is followed within the lease's time and a second, and writes nothing when it wakes.
`python -m tests.kill --leaders` does it twenty times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.takeover import WITHIN_S, take_over


@pytest.mark.slow
@pytest.mark.parametrize("paused", [True, False], ids=["paused", "killed"])
def test_another_process_leads_within_the_time_of_the_lease_and_a_second(tmp_path: Path, paused: bool) -> None:
    assert take_over(tmp_path, paused=paused).seconds <= WITHIN_S
