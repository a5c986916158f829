"""Heads published elsewhere: who rewrites a ledger and its head files still cannot rewrite what was written down on another machine.

A line is `{"at", "journal": {"seq", "hash"}, "records": {"seq", "hash"}}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, select

from dispatch.store.head_check import CHAINS, head_findings
from dispatch.store.head_file import Head
from dispatch.store.tables import reading
from markets.grid import format_instant
from optimizer.domain.money import Finding


def heads_document(engine: Engine, at: datetime) -> dict[str, Any]:
    """The newest row of each chain; a chain without rows is left out. Raises LedgerUnavailable."""
    document: dict[str, Any] = {"at": format_instant(at)}
    with reading(engine) as connection:
        for chain, table in CHAINS.items():
            row = connection.execute(select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)).one_or_none()
            if row is not None:
                document[chain] = {"seq": int(row.seq), "hash": row.hash}
    return document


def append_heads(file: Path, document: dict[str, Any]) -> None:
    """Add a line to a file of published heads. Raises OSError."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(document) + "\n")
        out.flush()
        os.fsync(out.fileno())


def published_findings(connection: Connection, files: Iterable[Path]) -> Iterator[Finding]:
    """What published heads say that the ledger does not hold. A file that is not there yet says nothing."""
    for file in files:
        try:
            lines = file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as fault:
            yield Finding("head", f"{file} cannot be read: {fault}")
            continue
        for number, line in enumerate(lines, start=1):
            yield from _line_findings(connection, line, f"{file.name}, line {number},")


def _line_findings(connection: Connection, line: str, by: str) -> Iterator[Finding]:
    try:
        document = json.loads(line)
        heads = {chain: Head(int(document[chain]["seq"]), str(document[chain]["hash"])) for chain in CHAINS if chain in document}
    except (ValueError, KeyError, TypeError) as fault:
        yield Finding("head", f"{by} is not a published head: {fault}")
        return
    for chain, head in heads.items():
        yield from head_findings(connection, chain, head, by)
