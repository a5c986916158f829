"""Makes files survive a loss of power, and keeps them private."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a renamed file survives a loss of power only after this. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Write the complete file or none, also when the power fails. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path.parent)


def keep_private(file: Path, *, create: bool = False) -> None:
    """Make a file its owner's alone, and the file itself when it is to be created. What SQLite makes beside a ledger gets its mode."""
    with suppress(OSError):  # another owner's file, or no such folder: what cannot be opened says so itself
        if create:
            file.touch(mode=0o600)
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
