"""The journal with a spare file: entries that the ledger cannot take now, because it is locked or the disk is full, go durably into a file
whose room was set aside, and from there into the ledger as soon as it can be written. So a decision is always written down before its
orders go out, and no obligation waits for a disk.

The file holds records of `length (4 bytes) | SHA-256 (32 bytes) | zlib of JSON {"seq", "entry"}`; a length of zero ends them.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from dispatch.clock import wall_s
from dispatch.entries import Entry, entry_from_json, entry_to_json
from dispatch.store import JournalLost, LeadershipLost
from dispatch.store.durable import sync_folder
from dispatch.store.journal import SqlJournal

log = structlog.get_logger()

SPARE_BYTES = 16 * 2**20
RETRY_S = 5.0  # between attempts to write the ledger while entries wait
_HEAD = struct.Struct(">I32s")


def spare_file(data_dir: Path) -> Path:
    """The spare file of a data folder."""
    return Path(data_dir) / "journal.spare"


def waiting_entries(data_dir: Path) -> int:
    """How many entries wait in the spare file for the ledger."""
    try:
        with spare_file(data_dir).open("rb") as file:
            return sum(1 for _ in _records(file.read))
    except OSError:
        return 0


class SpareJournal:
    """A leader's journal that goes on while the ledger cannot be written. Entries that a process before it left in the spare file are
    written to the ledger first."""

    def __init__(self, journal: SqlJournal, data_dir: Path, monotonic_s: Callable[[], float] = wall_s, size: int = SPARE_BYTES) -> None:
        self._journal, self._path, self._monotonic_s, self._size = journal, spare_file(data_dir), monotonic_s, size
        self._handle = self._opened()
        found = list(_records(lambda size: os.read(self._handle, size)))
        self._waiting = [(int(record["seq"]), entry_from_json(record["entry"])) for record, _ in found]
        self._end = found[-1][1] if found else 0
        # While the ledger still takes nothing, further entries are numbered after those that wait.
        self._last = max([journal.tail, *(seq for seq, _ in self._waiting)])
        self._tried_s = float("-inf")
        if self._waiting:
            self._write_waiting()

    def _opened(self) -> int:
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, self._size)
        except OSError as fault:  # a disk that is full already: the file is as large as it is
            log.error("No room can be set aside for the journal's spare file.", file=str(self._path), error=str(fault))
        sync_folder(self._path.parent)
        return handle

    def append(self, entry: Entry) -> int:
        """The entry's seq, once it is durable in the ledger or in the spare file. Raises JournalLost when it is in neither."""
        if self._waiting and self._monotonic_s() - self._tried_s >= RETRY_S:
            self._write_waiting()
        if not self._waiting:
            try:
                self._last = self._journal.append(entry)
                return self._last
            except LeadershipLost:
                raise
            except JournalLost as lost:
                log.error("The ledger cannot be written: entries go to the spare file until it can.", error=str(lost))
                self._tried_s = self._monotonic_s()
        self._put(entry)
        return self._last

    def _put(self, entry: Entry) -> None:
        packed = zlib.compress(json.dumps({"seq": self._last + 1, "entry": entry_to_json(entry)}).encode(), 6)
        record = _HEAD.pack(len(packed), sha256(packed).digest()) + packed
        try:
            if self._end + len(record) + _HEAD.size > os.fstat(self._handle).st_size:
                raise JournalLost(f"the ledger cannot be written and {self._path} is full")
            os.pwrite(self._handle, record + bytes(_HEAD.size), self._end)
            os.fsync(self._handle)
        except OSError as fault:
            raise JournalLost(f"the ledger cannot be written, nor can {self._path}: {fault}") from fault
        self._end += len(record)
        self._last += 1
        self._waiting.append((self._last, entry))

    def _write_waiting(self) -> None:
        """Write the waiting entries to the ledger, as far as it takes them. Raises LeadershipLost."""
        self._tried_s = self._monotonic_s()
        tail = self._journal.tail
        while self._waiting:
            seq, entry = self._waiting[0]
            if seq > tail:  # else a process wrote it and ended before it could empty the file
                try:
                    if (written := self._journal.append(entry)) != seq:
                        log.error(
                            "An entry of the spare file has another place in the journal: another process led meanwhile.", seq=written
                        )
                except LeadershipLost:
                    raise
                except JournalLost:
                    return
            self._waiting.pop(0)
        os.pwrite(self._handle, bytes(_HEAD.size), 0)
        os.fsync(self._handle)
        self._end, self._last = 0, self._journal.tail
        log.info("The ledger takes entries again.", last=self._last)

    def read(self, after: int = 0) -> Iterator[tuple[int, Entry]]:
        """Rows with seq > after, in order, those that wait included."""
        yield from self._journal.read(after)
        yield from [(seq, entry) for seq, entry in self._waiting if seq > after]

    def close(self) -> None:
        """Close the spare file; what waits in it stays."""
        os.close(self._handle)

    @property
    def head(self) -> tuple[int, str]:
        """The last row of the ledger and its hash."""
        return self._journal.head


def _records(read: Callable[[int], bytes]) -> Iterator[tuple[dict[str, Any], int]]:
    """The records from the start to the first that is not complete, each with the place where it ends."""
    end = 0
    while len(head := read(_HEAD.size)) == _HEAD.size:
        size, digest = _HEAD.unpack(head)
        packed = read(size) if 0 < size <= SPARE_BYTES else b""
        if not packed or sha256(packed).digest() != digest:
            return
        end += _HEAD.size + size
        yield json.loads(zlib.decompress(packed)), end
