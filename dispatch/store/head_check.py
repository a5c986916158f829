"""Compares the ends of the ledger's two hash chains with the heads named outside the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select

from dispatch.store.head_file import Head, data_dir_of, head_file, read_head, write_head
from dispatch.store.tables import journal, reading, records
from optimizer.domain.money import Finding

CHAINS = {"journal": journal, "records": records}


@dataclass(frozen=True, slots=True)
class HeadFiles:
    """The heads that the files beside a ledger named when they were read; `folder` is None where no files are kept."""

    folder: Path | None
    heads: Mapping[str, Head | None]

    @classmethod
    def read(cls, engine: Engine) -> HeadFiles:
        """Those of a ledger."""
        folder = data_dir_of(engine)
        return cls(folder, {chain: read_head(head_file(folder, chain)) for chain in CHAINS} if folder else {})

    def findings(self, connection: Connection) -> Iterator[Finding]:
        """What they say that the ledger does not hold."""
        if self.folder is None:
            return
        for chain, named in self.heads.items():
            file = head_file(self.folder, chain)
            if named is not None:
                yield from head_findings(connection, chain, named, file.name)
            elif last := _last(connection, chain):
                yield Finding("head", f"{file} is missing or unreadable; it names the newest of the {last} rows of the {chain}")


def head_findings(connection: Connection, chain: str, named: Head, by: str) -> Iterator[Finding]:
    """What is wrong when a chain should have a row with this hash; `by` says who named it."""
    table = CHAINS[chain]
    hash_ = connection.execute(select(table.c.hash).where(table.c.seq == named.seq)).scalar()
    if hash_ is None:
        last = _last(connection, chain)
        text = f"the {chain} ends at row {last}, but {by} names row {named.seq}: rows were cut off, or the ledger's WAL file was lost"
        yield Finding("head", text)
    elif hash_ != named.hash:
        yield Finding("head", f"row {named.seq} of the {chain} has not the hash that {by} names: the {chain} was rewritten")


def _last(connection: Connection, chain: str) -> int:
    return int(connection.execute(select(func.max(CHAINS[chain].c.seq))).scalar() or 0)


def write_heads_anew(engine: Engine) -> None:
    """Have the head files name the newest rows that the ledger holds now: after a restore, or when its findings were accepted. Raises
    OSError, LedgerUnavailable."""
    folder = data_dir_of(engine)
    if folder is None:
        return
    with reading(engine) as connection:
        for chain, table in CHAINS.items():
            newest = connection.execute(select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)).one_or_none()
            file = head_file(folder, chain)
            if newest is None:
                file.unlink(missing_ok=True)
            else:
                write_head(file, Head(int(newest.seq), newest.hash), anew=True)
