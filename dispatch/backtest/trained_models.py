"""Price models for a backtest, trained as the owner of a running site would have: on a schedule, each on what was known by then."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from dispatch.backtest.market_facts import WARM_UP
from dispatch.backtest.part import PartJob
from dispatch.store.durable import write_atomically
from dispatch.store.price_models import KeptPriceModel
from dispatch.training.stored import trained
from dispatch.training.train import TooLittleData
from markets import counted


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """The training of a settlement point's model on what an archive had by an instant, as a worker process gets it."""

    archive: Path
    point: str
    known_by: datetime
    seed: int = 0


@dataclass(frozen=True, slots=True)
class KeptModels:
    """Trained models under a folder, `models/POINT_INSTANT.json`, each with the fingerprint of what it was made from."""

    folder: Path
    fingerprint: str

    def read(self, job: TrainingJob) -> str | None:
        """The outcome of a training that was made earlier from the same inputs. A file that cannot be read counts as none."""
        try:
            kept = json.loads(self._file(job).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return str(kept["model"]) if isinstance(kept, dict) and kept.get("fingerprint") == self.fingerprint else None

    def write(self, job: TrainingJob, model: str) -> None:
        """Keep the outcome of a training. Raises OSError."""
        file = self._file(job)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"fingerprint": self.fingerprint, "model": model}).encode())

    def _file(self, job: TrainingJob) -> Path:
        return self.folder / "models" / f"{job.point}_{job.known_by:%Y%m%dT%H%MZ}.json"


def run_training(job: TrainingJob) -> str:
    """The model as JSON text; empty where too few prices were known, or where it did worse than the last price on its held-out part:
    such a model is not used."""
    try:
        model = trained(job.archive, job.point, job.seed, job.known_by)
    except (LookupError, TooLittleData):
        return ""
    if not model.about["accepted"]:
        return ""
    label = f"{job.point} of {job.known_by:%Y-%m-%d %H:%M} UTC"
    return replace(model, about={**model.about, "label": label}).to_json()


def trained_by(jobs: Sequence[PartJob], every: timedelta) -> list[datetime]:
    """By part, when the newest models that it may use were trained: before the first part, and anew before the first part that begins so
    long after the last training."""
    found: list[datetime] = []
    for job in jobs:
        begins = job.over.start - WARM_UP
        found.append(begins if not found or begins - found[-1] >= every else found[-1])
    return found


def with_models(
    jobs: Sequence[PartJob],
    points: Sequence[str],
    every: timedelta,
    executor: Executor,
    kept: KeptModels | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[list[PartJob], list[str]]:
    """The parts with the newest accepted model of each settlement point that was trained before they begin; and what was trained, in
    sentences. Finished trainings are kept at once."""
    instants = trained_by(jobs, every)
    asked = [TrainingJob(jobs[0].archive, point, at, jobs[0].seed) for point in points for at in sorted(set(instants))]
    texts = _outcomes(asked, executor, kept, progress)
    notes = [_note(point, [job.known_by for job in asked if job.point == point and texts[job]], sorted(set(instants))) for point in points]
    found = []
    for job, newest in zip(jobs, instants, strict=True):
        usable = [t for t in asked if t.known_by <= newest and texts[t]]
        by_point = {t.point: KeptPriceModel(t.point, n, t.known_by, texts[t]) for n, t in enumerate(usable, 1)}
        found.append(replace(job, models=tuple(by_point.values())))
    return found, notes


def _outcomes(
    asked: Sequence[TrainingJob], executor: Executor, kept: KeptModels | None, progress: Callable[[int, int], None]
) -> dict[TrainingJob, str]:
    found = {job: text for job in asked if kept is not None and (text := kept.read(job)) is not None}
    left = [job for job in asked if job not in found]
    progress(len(found), len(asked))
    for job, text in zip(left, executor.map(run_training, left), strict=True):
        found[job] = text
        if kept is not None:
            kept.write(job, text)
        progress(len(found), len(asked))
    return found


def _note(point: str, used: Sequence[datetime], instants: Sequence[datetime]) -> str:
    times, first = counted(len(instants), "time"), f"{instants[0]:%Y-%m-%dT%H:%MZ}"
    judged = f"{len(used)} did no worse than the last price on {'its' if len(used) == 1 else 'their'} held-out part and could be used"
    return f"price model of {point}: trained {times} on what was known by then, first at {first}; {judged}"
