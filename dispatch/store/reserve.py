"""The reserve file: room set aside on the disk of the data folder. When the disk is full it is given up, once, so that calls, holds and the
journal can still be written; telemetry waits until it is there again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog
from sqlalchemy import Engine

from dispatch.store import LedgerUnavailable
from dispatch.store.head_file import data_dir_of

log = structlog.get_logger()
T = TypeVar("T")

RESERVE_BYTES = 32 * 2**20
SHARE_OF_FREE = 4  # at most a quarter of what is free is set aside
FULL = "disk is full"  # what SQLite says


def reserve_file(data_dir: Path) -> Path:
    """The reserve file of a data folder."""
    return Path(data_dir) / "reserve"


def keep_reserve(data_dir: Path) -> None:
    """Set the room aside where there is enough of it; does nothing when it is set aside, or when the disk is too full."""
    file = reserve_file(data_dir)
    if file.exists():
        return
    size = min(RESERVE_BYTES, shutil.disk_usage(data_dir).free // SHARE_OF_FREE)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, max(size, 1))
        finally:
            os.close(handle)
    except OSError as fault:
        file.unlink(missing_ok=True)
        log.error("No room can be set aside for a full disk.", file=str(file), error=str(fault))


def give_up_reserve(data_dir: Path) -> bool:
    """Free the room; False when none was set aside."""
    try:
        reserve_file(data_dir).unlink()
    except OSError:
        return False
    log.error("The disk is full: the reserve was given up. Free some space.", data=str(data_dir))
    return True


def with_reserve(engine: Engine, write: Callable[[], T]) -> T:
    """What `write` returns; when the disk is full, once more with the reserve given up. Raises what `write` raises."""
    try:
        return write()
    except LedgerUnavailable as fault:
        folder = data_dir_of(engine)
        if FULL not in str(fault) or folder is None or not give_up_reserve(folder):
            raise
        return write()
