"""The watched folder: DATA/drop/calls and DATA/drop/awards.

A file put there is posted once and moved to `taken` or, with its faults, to `refused`.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import structlog

from dispatch.clock import wall_now
from dispatch.signals.acceptance import Kind, Received, accept
from dispatch.signals.documents import DocumentFault, InvalidDocument, documents_in_file
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.inbox import Inbox

log = structlog.get_logger()

PERIOD_S = 1.0  # wall seconds between looks
FOLDERS: dict[str, Kind] = {"calls": "call", "awards": "award"}
SUFFIXES = (".json", ".csv")


def post_file(kind: Kind, file: Path, inbox: Inbox, setup: Setup, key_name: str) -> list[Received]:
    """Put every document of a file into the inbox, or none. The same file again gives the same rows. Raises InvalidDocument, OSError."""
    content = file.read_bytes()
    try:
        rows = documents_in_file(content.decode(), file.suffix)
    except UnicodeDecodeError as error:
        raise InvalidDocument([DocumentFault("", f"byte {error.start} is not UTF-8")]) from None
    mark = sha256(content).hexdigest()[:32]
    keys = [f"{mark}:{n}" for n in range(len(rows))]
    return accept(kind, rows, setup, inbox, wall_now(), key_name, keys)


async def watch_folders(data: Path, inbox: Inbox, setup: Setup) -> None:
    """Read the folders once a second, without end. A file that cannot be read or moved is logged once and tried again."""
    said = ""
    while True:
        try:
            for name, kind in FOLDERS.items():
                _look(data / "drop" / name, kind, inbox, setup)
            said = ""
        except OSError as fault:
            if said != str(fault):
                said = str(fault)
                log.error("the watched folders cannot be used", error=said)
        await asyncio.sleep(PERIOD_S)


def _look(root: Path, kind: Kind, inbox: Inbox, setup: Setup) -> None:
    for folder in (root, root / "taken", root / "refused"):
        folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(root.iterdir()):
        # A file still being written has just changed.
        if file.suffix.lower() in SUFFIXES and file.is_file() and wall_now().timestamp() - file.stat().st_mtime > PERIOD_S:
            _take(file, kind, inbox, setup)


def _take(file: Path, kind: Kind, inbox: Inbox, setup: Setup) -> None:
    try:
        notes = [received.note for received in post_file(kind, file, inbox, setup, key_name="watched folder") if received.note]
    except LedgerUnavailable as fault:
        log.error("a dropped file waits", file=file.name, error=str(fault))
        return
    except InvalidDocument as faults:
        log.error("a dropped file was refused", file=file.name, faults=[str(f) for f in faults.faults])
        (file.parent / "refused" / f"{file.name}.faults.txt").write_text("\n".join(map(str, faults.faults)) + "\n", "utf-8")
        file.replace(file.parent / "refused" / file.name)
        return
    except OSError as fault:
        log.error("a dropped file cannot be read", file=file.name, error=str(fault))
        return
    if notes:
        log.warning("a dropped file was accepted", file=file.name, notes=notes)
    file.replace(file.parent / "taken" / file.name)
