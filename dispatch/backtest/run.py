"""A backtest: its parts run through any Executor, finished parts kept, results added up in order.

Nothing depends on the number of workers: parts are cut by the span alone, each is a function of its job, and sums are made in order.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dispatch
import markets
import optimizer
from dispatch.backtest.part import PartJob, run_part, setup_id_of, setup_of
from dispatch.backtest.spans import parts_of
from dispatch.backtest.trained_models import KeptModels, with_models
from dispatch.backtest.valuation import unsupported
from dispatch.child_process import die_with_parent
from dispatch.runtime.price_sources import archived
from dispatch.site_file.load import load_site_file
from dispatch.site_file.made_by import made_by
from dispatch.site_file.tariff_file import TariffPrices
from dispatch.store.durable import write_atomically
from dispatch.training.boosting import library

RESULT_FORMAT = 8  # raised whenever the same inputs give other results, so that parts kept by an older version are run again
CHUNK_BYTES = 1 << 20

# The source that parts are run by.
RUN_BY = (
    (markets, ""),
    (optimizer, ""),
    (dispatch, "backtest"),
    (dispatch, "decide"),
    (dispatch, "entries.py"),
    (dispatch, "evidence"),
    (dispatch, "offers"),
    (dispatch, "power_meters.py"),
    (dispatch, "rigs"),
    (dispatch, "runtime/history.py"),
    (dispatch, "runtime/polling.py"),
    (dispatch, "runtime/price_forecasts.py"),
    (dispatch, "runtime/price_sources.py"),
    (dispatch, "settlement/contract_memory.py"),
    (dispatch, "settlement/prices.py"),
    (dispatch, "sim"),
    (dispatch, "site_file"),
    (dispatch, "store/durable.py"),
    (dispatch, "store/price_models.py"),
    (dispatch, "training"),
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backtest:
    """A site file over an archive, from `start` to `end`. `risk` is the weight of the worst price scenarios, None to plan by expected
    prices; `train_every` how often price models are trained anew, None to decide without one."""

    config: Path
    archive: Path
    start: datetime
    end: datetime
    risk: float | None = None
    seed: int = 0
    train_every: timedelta | None = None

    def jobs(self) -> list[PartJob]:
        """Its parts. Raises ConfigError."""
        setup = setup_of(self.config, self.archive)
        parts = parts_of(setup, self.start, self.end)
        return [PartJob(self.config, self.archive, setup_id_of(setup), over, self.risk, self.seed) for over in parts]

    def with_models(
        self, jobs: Sequence[PartJob], executor: Executor, kept: KeptModels | None = None, progress: Progress = lambda done, of: None
    ) -> tuple[list[PartJob], list[str]]:
        """Its parts with the price models that they decide with, and what was trained, in sentences; nothing is trained unless asked."""
        if self.train_every is None:
            return list(jobs), []
        points = setup_of(self.config, self.archive).settlement_points
        return with_models(jobs, points, self.train_every, executor, kept, progress)

    def notes(self) -> list[str]:
        """What the backtest leaves out, in sentences. Raises ConfigError."""
        setup, first = load_site_file(self.config, archived(self.config, self.archive)), dict[tuple[str, str], datetime]()
        for over in (job.over for job in self.jobs()):
            for left_out in unsupported(setup.book, setup, over.end).items():
                first.setdefault(left_out, over.start)
        since = {key: "" if start == self.start else f" from {start:%Y-%m-%dT%H:%MZ} on" for key, start in first.items()}
        return [f"contract {name!r} is left out{since[name, why]}: {why}" for name, why in first]

    def fingerprint(self) -> str:
        """SHA-256 of everything that results depend on: the site file, its tariff's file, every file of the archive, the market rules, this
        program's source, the risk weight, the seed, and how price models are trained."""
        setup = setup_of(self.config, self.archive)
        options = f"{self.risk} {self.seed} {self.train_every and (self.train_every, library())}"
        digest = hashlib.sha256(f"{RESULT_FORMAT} {setup.hash_id} {made_by(setup, RUN_BY)} {options}".encode())
        if isinstance(setup.prices, TariffPrices):
            digest.update(b"\n" + setup.resolve(setup.prices.file).read_bytes())
        for file in sorted(self.archive.rglob("*.parquet")):
            digest.update(f"\n{file.relative_to(self.archive)} ".encode())
            with file.open("rb") as content:
                while chunk := content.read(CHUNK_BYTES):
                    digest.update(chunk)
        return digest.hexdigest()


@dataclass(slots=True)
class KeptParts:
    """Finished parts under a folder, `parts/START_END.json`, each with the fingerprint of what it was made from, its price models included.

    changed  how many kept parts were made from other inputs, and are run again
    """

    folder: Path
    fingerprint: str
    changed: int = field(default=0)

    def read(self, job: PartJob) -> dict[str, Any] | None:
        """The result of a part that finished earlier with the same inputs. A file that cannot be read counts as none."""
        try:
            kept = json.loads(self._file(job).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("fingerprint") != self._made_from(job):
            self.changed += 1
            return None
        result: dict[str, Any] = kept["result"]
        return result

    def write(self, job: PartJob, result: dict[str, Any]) -> None:
        """Keep a finished part. Raises OSError."""
        file = self._file(job)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"fingerprint": self._made_from(job), "result": result}, ensure_ascii=False).encode())

    def _made_from(self, job: PartJob) -> str:
        """The fingerprint of the backtest and of the models that a part decides with."""
        digest = hashlib.sha256(self.fingerprint.encode())
        for model in job.models:
            text = hashlib.sha256(model.text.encode()).hexdigest()
            digest.update(f"\n{model.point} {model.trained_at.isoformat()} {text}".encode())
        return digest.hexdigest()

    def _file(self, job: PartJob) -> Path:
        return self.folder / "parts" / f"{job.over.start:%Y%m%dT%H%MZ}_{job.over.end:%Y%m%dT%H%MZ}.json"


def run_parts(
    jobs: Sequence[PartJob], executor: Executor, kept: KeptParts | None = None, progress: Progress = lambda done, of: None
) -> list[dict[str, Any]]:
    """The results of parts, in their order. Finished ones are kept at once, so that a run that was cut off goes on where it was. Raises
    what a part raises; parts that have not begun are then cancelled."""
    finished = {job: kept.read(job) for job in jobs} if kept is not None else {}
    found = {job: result for job, result in finished.items() if result is not None}
    progress(len(found), len(jobs))
    running: dict[Future[dict[str, Any]], PartJob] = {executor.submit(run_part, job): job for job in jobs if job not in found}
    try:
        for future in as_completed(running):
            job = running[future]
            found[job] = json.loads(json.dumps(future.result()))  # the same values as from a file
            if kept is not None:
                kept.write(job, found[job])
            progress(len(found), len(jobs))
    finally:
        for future in running:
            future.cancel()
    return [found[job] for job in jobs]


def process_pool(workers: int) -> Executor:
    """Worker processes on this machine, which end with this one."""
    return ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=die_with_parent, initargs=(os.getpid(),)
    )
