"""Runs seeds one after the other, or beside each other, and keeps their results in a file that a further run adds to."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from dispatch.child_process import die_with_parent
from tests.simulation.faults import drawn
from tests.simulation.run import simulate

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Month:
    """How long each seed is run, in simulated days, and how many times as many faults it draws as in a usual month."""

    days: float = 30.0
    density: float = 1.0


class KeptResults:
    """Results of seeds in a file, one JSON line each."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        self.found: dict[int, Result] = {result["seed"]: result for result in map(json.loads, lines)}

    def add(self, result: Result) -> None:
        """Keep a result."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(result) + "\n")
        self.found[result["seed"]] = result


def run_seed(seed: int, month: Month) -> Result:
    """Run one seed; the outcome as JSON values."""
    outcome = simulate(drawn(seed, month.days, month.density))
    return {
        "seed": seed, "violation": outcome.violation, "at_s": outcome.at_s, "head": outcome.head, "journal_rows": outcome.journal_rows,
        "processes": outcome.processes, "cpu_s": round(outcome.cpu_s, 2), "rows": {str(row): n for row, n in sorted(outcome.rows.items())},
    }  # fmt: skip


def run_seeds(seeds: Iterable[int], month: Month, workers: int) -> Iterator[Result]:
    """Run seeds in so many processes; their results in order."""
    if workers == 1:
        for seed in seeds:
            yield run_seed(seed, month)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        yield from pool.map(run_seed, seeds := list(seeds), [month] * len(seeds))


def run_fresh_seeds(month: Month, minutes: float) -> Iterator[Result]:
    """Run seeds that nobody ran before, until the minutes are over."""
    began_s = time.monotonic()
    for seed in count(int(time.time())):
        if time.monotonic() - began_s >= 60 * minutes:
            return
        yield run_seed(seed, month)
