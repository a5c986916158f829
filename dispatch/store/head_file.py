"""Head files: beside the ledger, one small file for each hash chain names the chain's newest row, so that rows cut off the end are noticed.

A chain proves that no row in it was changed; it cannot prove that it has no end cut off. `journal.head` and `records.head` do. Each has two
lines, written in turn and in place: that needs no room on a full disk, and one line is complete while the other is written. A line is
written after its row is durable and never names an earlier row than before; it may be behind the chain, never ahead of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, Engine

LINE = 128
_NOTED = "heads_to_write"


@dataclass(frozen=True, slots=True, order=True)
class Head:
    """The newest row of a chain and its hash."""

    seq: int
    hash: str


def head_file(data_dir: Path, chain: str) -> Path:
    """The head file of a chain ("journal" or "records")."""
    return Path(data_dir) / f"{chain}.head"


def data_dir_of(engine: Engine) -> Path | None:
    """The folder of a ledger's file; None for a ledger on a server, whose heads are published elsewhere (heads.py)."""
    return Path(engine.url.database).parent if engine.dialect.name == "sqlite" and engine.url.database else None


def note_head(connection: Connection, chain: str, seq: int, hash_: str) -> None:
    """Have the head written once the transaction of this connection is durable (`tables.writing` does)."""
    connection.info.setdefault(_NOTED, {})[chain] = Head(seq, hash_)


def forget_heads(connection: Connection) -> dict[str, Head]:
    """The heads noted since the last call."""
    heads: dict[str, Head] = connection.info.pop(_NOTED, {})
    return heads


def write_head(file: Path, head: Head, *, anew: bool = False) -> None:
    """Write a head, unless the file already names that row or a later one. `anew` forgets what it named. Raises OSError."""
    before = None if anew else read_head(file)
    if before is not None and before.seq >= head.seq:
        return
    text = f"{head.seq} {head.hash}"
    line = f"{text} {_sum(text)}".ljust(LINE - 1) + "\n"
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if anew:
            os.ftruncate(handle, 0)
        os.pwrite(handle, line.encode(), head.seq % 2 * LINE)
    finally:
        os.close(handle)


def read_head(file: Path) -> Head | None:
    """The latest row that a head file names; None when there is no such file or it names none."""
    try:
        raw = file.read_bytes()
    except OSError:
        return None
    return max(_heads(raw), default=None)


def _heads(raw: bytes) -> Iterator[Head]:
    for place in range(0, 2 * LINE, LINE):
        parts = raw[place : place + LINE].decode("ascii", "replace").split()
        if len(parts) == 3 and parts[2] == _sum(f"{parts[0]} {parts[1]}") and parts[0].isdecimal():
            yield Head(int(parts[0]), parts[1])


def _sum(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
