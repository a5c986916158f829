"""What a site stores: the journal and the ledger in SQL, telemetry in parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from dispatch.entries import Entry


class JournalBroken(Exception):
    """The hash chain of the journal is broken; the text names the first bad row."""


class JournalLost(Exception):
    """The journal could not be written, or another process holds the leader lease now. No command may follow."""


class LeadershipLost(JournalLost):
    """Another process holds the leader lease now: this one must stop."""


class LedgerUnavailable(Exception):
    """The ledger is missing, locked, full, broken or of another version. Nothing was read or written; try again later."""


class Journal(Protocol):
    """Append-only, hash-chained. `append` returns when the row is durable."""

    def append(self, entry: Entry) -> int:
        """The row's seq, ascending from 1. Raises JournalLost."""
        ...

    def read(self, after: int = 0) -> Iterator[tuple[int, Entry]]:
        """Rows with seq > after, in order."""
        ...

    @property
    def head(self) -> tuple[int, str]:
        """The last seq and its hash ("" for an empty journal)."""
        ...
