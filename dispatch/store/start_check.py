"""What is checked before a site starts on a ledger: everything that the start rests on."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine

from dispatch.clock import wall_now
from dispatch.store.head_check import write_heads_anew
from dispatch.store.head_file import head_file, read_head
from dispatch.store.instant_column import instant_text
from dispatch.store.record_log import record
from dispatch.store.tables import ledger_file, open_ledger, writing
from dispatch.store.verify import verify_newest

# Rows of the journal whose chain is checked at a start: a month or two of a site, in about a second. `loadstone verify` checks all.
NEWEST_ROWS = 50_000


def start_faults(data_dir: Path, published: Sequence[Path] = ()) -> list[str]:
    """Why a site must not start on the ledger of a data folder: rows that were cut off, changed or slipped in; none for a new folder.
    `published` are files with heads that were published. Raises LedgerUnavailable."""
    file, journal_head = ledger_file(data_dir), read_head(head_file(data_dir, "journal"))
    if not file.is_file():
        return [f"{file} is missing, but {head_file(data_dir, 'journal')} names its row {journal_head.seq}"] if journal_head else []
    engine = open_ledger(data_dir)
    try:
        return [finding.text for finding in verify_newest(engine, NEWEST_ROWS, published)]
    finally:
        engine.dispose()


def accept_faults(engine: Engine, faults: list[str]) -> None:
    """Start from the ledger as it is: the head files name its newest rows from now on, and the record log keeps what was accepted."""
    with writing(engine) as connection:
        record(connection, "accepted", instant_text(wall_now()), sha256("\n".join(faults).encode()).hexdigest())
    write_heads_anew(engine)
