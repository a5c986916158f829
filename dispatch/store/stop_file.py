"""The global stop: while the file `stop` is in the data folder, every rig sleeps.

It needs no ledger, no API, no lock and no free space: an empty file is a stop too. It stands until it is removed (`loadstone resume`).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from markets.grid import format_instant, parse_instant

SIZE = 1024  # the file is written at its full size at once: the control loop's answer then needs no room on a full disk
MOST_TEXT = 200


@dataclass(frozen=True, slots=True)
class StopOrder:
    """A stop in force: when and by whom it was ordered, and why; `read_at` is when the control loop read it, None while it has not."""

    at: datetime | None
    by: str
    why: str
    read_at: datetime | None = None


class StopFile:
    """The stop of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self.path = Path(data_dir) / "stop"

    def order(self, at: datetime, by: str, why: str = "") -> StopOrder:
        """Order a stop; one that is in force stays as it is. Raises OSError only when no file can be made in the folder."""
        order = StopOrder(at, by[:MOST_TEXT], why[:MOST_TEXT])
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return self.read() or order
        try:
            with suppress(OSError):  # a full disk: the empty file stops the site all the same
                os.pwrite(handle, _packed(order), 0)
                os.fsync(handle)
        finally:
            os.close(handle)
        return order

    def read(self) -> StopOrder | None:
        """The stop in force; None when there is none. A file that cannot be read is a stop."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            return StopOrder(None, "unknown", "")
        try:
            document = json.loads(raw)
            at, read_at = (parse_instant(document[key]) if document[key] else None for key in ("at", "read_at"))
            return StopOrder(at, str(document["by"]), str(document["why"]), read_at)
        except (ValueError, KeyError, TypeError):
            return StopOrder(None, "unknown", "")

    def in_force(self) -> bool:
        """Whether a stop is in force."""
        return self.path.exists()

    def mark_read(self, at: datetime) -> None:
        """Note in the file, without needing room for it, that the control loop has read it."""
        found = self.read()
        if found is None or found.read_at is not None:
            return
        with suppress(OSError):  # the stop is carried out all the same
            handle = os.open(self.path, os.O_WRONLY)
            try:
                os.pwrite(handle, _packed(StopOrder(found.at, found.by, found.why, at)), 0)
            finally:
                os.close(handle)

    def resume(self) -> StopOrder | None:
        """End the stop; what it was, None when there was none. Raises OSError."""
        found = self.read()
        self.path.unlink(missing_ok=True)
        return found


def _packed(order: StopOrder) -> bytes:
    instants = {"at": order.at and format_instant(order.at), "read_at": order.read_at and format_instant(order.read_at)}
    return json.dumps({**instants, "by": order.by, "why": order.why}).encode()[:SIZE].ljust(SIZE)
