"""Backup and restore of a data folder, also while it is in use: one gzip tar with the ledger first, then every other file."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

import pysqlite3.dbapi2 as sqlite

from dispatch.store import JournalBroken, LedgerUnavailable
from dispatch.store.durable import sync_folder
from dispatch.store.head_check import CHAINS, write_heads_anew
from dispatch.store.head_file import head_file
from dispatch.store.tables import ledger_file, open_ledger
from dispatch.store.verify import verify

LEDGER = ledger_file(Path()).name
# The head files name rows that the copy of the ledger, taken a moment before, may not have: a restore makes them anew. A stop, the entries
# that wait for the ledger, and room set aside belong to the folder that runs.
NOT_BACKED_UP = (*(head_file(Path(), chain).name for chain in CHAINS), "stop", "journal.spare", "reserve", "job.json", "clock")


class RestoreRefused(Exception):
    """Nothing was restored: the target is not empty, or the file is not a complete backup."""


def backup(data_dir: Path, file: Path) -> int:
    """Write a backup of a data folder to `file`, completely or not at all; returns its size in bytes.

    The ledger is copied as of one instant by SQLite's online backup; telemetry and archive parts never change once written.
    Raises LedgerUnavailable without a ledger, OSError.
    """
    data_dir, file = Path(data_dir).resolve(), Path(file).resolve()
    if not ledger_file(data_dir).is_file():
        raise LedgerUnavailable(f"{data_dir}: no ledger there")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_scratch(file.parent, "backup"), dir=file.parent) as scratch:
        copy, packed = Path(scratch) / LEDGER, Path(scratch) / "packed"
        _copy_ledger(ledger_file(data_dir), copy)
        with packed.open("wb") as out:
            with tarfile.open(fileobj=out, mode="w:gz", compresslevel=3, format=tarfile.PAX_FORMAT) as tar:
                tar.add(copy, LEDGER)
                for found in _beside(data_dir, file):
                    try:
                        tar.add(found, found.relative_to(data_dir).as_posix(), recursive=False)
                    except FileNotFoundError:  # pruned while we walked
                        continue
            out.flush()
            os.fsync(out.fileno())
        packed.chmod(0o600)
        packed.replace(file)
    sync_folder(file.parent)
    return file.stat().st_size


def _copy_ledger(source: Path, copy: Path) -> None:
    try:
        with closing(sqlite.connect(source, timeout=30)) as live, closing(sqlite.connect(copy)) as target:
            live.backup(target)
    except sqlite.Error as fault:
        raise LedgerUnavailable(f"{source}: {fault}") from fault


def _beside(data_dir: Path, file: Path) -> Iterator[Path]:
    """Every settled file of the data folder but the ledger and the backup itself; names that start with a dot are unfinished."""
    for found in sorted(data_dir.rglob("*")):
        inside = found.relative_to(data_dir).parts
        if found.is_symlink() or not found.is_file() or found == file or inside[0].startswith(LEDGER) or inside[0] in NOT_BACKED_UP:
            continue
        if not any(part.startswith(".") for part in inside):
            yield found


def restore(file: Path, data_dir: Path) -> int:
    """Restore a backup into an empty or new folder, completely or not at all, and verify it; returns the number of journal rows.

    Raises RestoreRefused when the folder is not empty or `file` is not a complete backup, JournalBroken when the restored ledger fails
    verification, LedgerUnavailable when it cannot be opened, OSError.
    """
    file, data_dir = Path(file), Path(data_dir).resolve()
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise RestoreRefused(f"{data_dir}: not empty; restore goes into an empty or new folder")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_scratch(data_dir.parent, "restore"), dir=data_dir.parent) as scratch:
        unpacked = Path(scratch) / "data"
        unpacked.mkdir()
        _unpack(file, unpacked)
        if not ledger_file(unpacked).is_file():
            raise RestoreRefused(f"{file}: not a backup: it has no ledger")
        engine = open_ledger(unpacked, create=False)
        try:
            write_heads_anew(engine)
            verified = verify(engine)
        finally:
            engine.dispose()
        if data_dir.exists():
            data_dir.rmdir()
        unpacked.rename(data_dir)
    sync_folder(data_dir.parent)
    if verified.findings:
        raise JournalBroken(f"restored {data_dir}, but {'; '.join(f.text for f in verified.findings)}")
    return verified.rows


def _scratch(parent: Path, what: str) -> str:
    """The beginning of a scratch folder's name, with the process that owns it. Folders whose process was killed are removed."""
    for left in parent.glob(f".{what}-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return f".{what}-{os.getpid()}-"


def _unpack(file: Path, target: Path) -> None:
    try:
        with gzip.open(file) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isreg() or path.is_absolute() or ".." in path.parts:
                    raise RestoreRefused(f"{file}: {member.name!r} does not belong in a backup")
                place = target.joinpath(*path.parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                with content, place.open("xb") as out:
                    shutil.copyfileobj(content, out)
                    out.flush()
                    os.fsync(out.fileno())
            while stream.read(1 << 20):  # to the checksum at the end, which the tar does not reach
                continue
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise RestoreRefused(f"{file}: not a complete backup: {fault}") from fault
