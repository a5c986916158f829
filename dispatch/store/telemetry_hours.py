"""Hours of telemetry that are over: their parts are merged into one file whose SHA-256 is in the record log, and dropped when they are old.

The file of an hour is `NNNNNN-hour.parquet`; it stands for every part of the hour with a number up to NNNNNN. Readings that come later are
further parts, until the hour is merged again.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import structlog
from sqlalchemy import Engine, select

from dispatch.store.durable import sync_folder
from dispatch.store.record_log import REMOVED, record, recorded_digest
from dispatch.store.tables import reading, records, writing
from markets.grid import Interval

log = structlog.get_logger()

TABLE = "telemetry"  # what the hours are called in the record log
MERGED = "-hour.parquet"
OVER_AFTER = timedelta(minutes=10)  # the last readings of an hour are on the disk by then
HOUR = "%Y-%m-%dT%H"


def parts_of(hour: Path) -> list[Path]:
    """The files that hold an hour's readings, in the order they were written."""
    found = sorted(hour.glob("*.parquet"))
    merged = [part for part in found if part.name.endswith(MERGED)]
    if not merged:
        return found
    return [merged[-1], *(part for part in found if part.name[:6] > merged[-1].name[:6])]


def close_hours(engine: Engine, folder: Path, now: datetime) -> int:
    """Merge each hour that is over, and record its hash; how many were. Raises OSError, LedgerUnavailable."""
    closed = 0
    for hour in sorted(folder.glob("????-??-??T??")):
        parts = parts_of(hour)
        over = datetime.strptime(hour.name, HOUR).replace(tzinfo=UTC) + timedelta(hours=1) + OVER_AFTER <= now
        if over and parts and (len(parts) > 1 or not _is_recorded(engine, hour, parts[0])):
            _close(engine, hour, parts)
            closed += 1
    return closed


def _is_recorded(engine: Engine, hour: Path, part: Path) -> bool:
    with reading(engine) as connection:
        return part.name.endswith(MERGED) and recorded_digest(connection, TABLE, hour.name) is not None


def _close(engine: Engine, hour: Path, parts: list[Path]) -> None:
    merged = hour / f"{parts[-1].name[:6]}{MERGED}"
    if parts != [merged]:
        unfinished = hour / f".{secrets.token_hex(4)}.tmp"
        try:
            pl.concat([pl.read_parquet(part) for part in parts]).write_parquet(unfinished, compression="zstd")
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.rename(merged)
        except pl.exceptions.PolarsError as fault:
            unfinished.unlink(missing_ok=True)
            raise OSError(f"{hour}: its parts cannot be merged: {fault}") from fault
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        sync_folder(hour)
    with writing(engine) as connection:
        record(connection, TABLE, hour.name, _digest(merged))
    for part in sorted(hour.glob("*.parquet")):
        if part not in parts_of(hour):
            part.unlink(missing_ok=True)


def drop_hours(engine: Engine, folder: Path, before: datetime) -> int:
    """Delete the hours that ended before an instant, and record that they were; how many. Raises OSError, LedgerUnavailable."""
    dropped = 0
    for hour in sorted(folder.glob("????-??-??T??")):
        if datetime.strptime(hour.name, HOUR).replace(tzinfo=UTC) + timedelta(hours=1) > before:
            break
        with writing(engine) as connection:
            record(connection, TABLE, hour.name, REMOVED)
        shutil.rmtree(hour)
        dropped += 1
    return dropped


def hour_faults(engine: Engine, folder: Path, over: Interval) -> dict[str, str]:
    """By hour what is wrong with the telemetry of a span: files that are missing or were changed since they were recorded. Raises
    LedgerUnavailable."""
    first, last = over.start.astimezone(UTC).strftime(HOUR), (over.end - timedelta(microseconds=1)).astimezone(UTC).strftime(HOUR)
    wanted = select(records.c.row, records.c.sha256).where(records.c.of == TABLE, records.c.row.between(first, last))
    with reading(engine) as connection:
        found = connection.execute(wanted.order_by(records.c.seq)).all()
    return faults_among({row.row: row.sha256 for row in found}, folder)


def faults_among(digests: Mapping[str, str], folder: Path) -> dict[str, str]:
    """By hour what is wrong with files that should have these SHA-256s."""
    found = {}
    for hour, digest in digests.items():
        merged = [part for part in parts_of(folder / hour) if part.name.endswith(MERGED)]
        if digest and not merged:
            found[hour] = f"the telemetry of {hour}:00Z is missing"
        elif digest and _digest(merged[0]) != digest:
            found[hour] = f"the telemetry of {hour}:00Z was changed: {merged[0].name} does not have its hash"
    return found


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        digest = sha256()
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
