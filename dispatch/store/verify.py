"""Verifies the ledger: the journal's hash chain and its end, the hashes of plans, the tables made from its rows, the journal heads that
statements name, and by the record log every other row that carries money, a promise or a permission."""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from dispatch.entries import Planned, Seen, fact_from_json
from dispatch.store import JournalBroken, LedgerUnavailable
from dispatch.store.dialect import structure_faults, utf8
from dispatch.store.head_check import HeadFiles
from dispatch.store.head_file import data_dir_of
from dispatch.store.instant_column import instant_text
from dispatch.store.journal import row_hash
from dispatch.store.lease import LEADER
from dispatch.store.prices import price_rows
from dispatch.store.published_heads import published_findings
from dispatch.store.record_log import verify_records
from dispatch.store.signal_rows import signal_rows
from dispatch.store.tables import blobs, hashprices, journal, lease, prices, reading, reserve_prices, signals, statements
from dispatch.store.telemetry_hours import TABLE as TELEMETRY
from dispatch.store.telemetry_hours import faults_among
from markets.facts import Fact
from markets.grid import parse_instant
from optimizer.domain.money import Finding

BATCH = 5000
PROJECTED = (prices, reserve_prices, hashprices, signals)
_PROJECTED_FACTS = ("Price", "ReservePrice", "HashPrice", "Call", "Award")


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome: `rows` whose chain is intact, `head` the hash of the last of them, and what is wrong."""

    rows: int
    head: str
    findings: tuple[Finding, ...]


def verify(engine: Engine, published: Sequence[Path] = ()) -> Verification:
    """Check every row. When the journal's chain is broken, that finding is the last and names the first bad row; nothing behind it is
    checked. `published` are files with heads that were published. Raises LedgerUnavailable."""
    heads = HeadFiles.read(engine)  # before the rows: a site that runs meanwhile only adds some
    with reading(engine) as connection:
        findings: list[Finding] = []
        rows, head = 0, ""
        wanted_heads = _statement_heads(connection)
        projected = _Projection(connection)
        plans: dict[str, int] = {}
        try:
            for rows, head, kind, document in _chain(connection):  # noqa: B007 (the last row's stand)
                findings += _head_findings(wanted_heads.pop(rows, ()), head)
                if kind == Seen.__name__:
                    findings += projected.compare(rows, document)
                elif kind == Planned.__name__ and document["plan_hash"] is not None:
                    plans.setdefault(document["plan_hash"], rows)
        except JournalBroken as broken:
            return Verification(rows, head, (*findings, Finding("chain", str(broken))))
        findings += projected.rest()
        for left in wanted_heads.values():
            findings += _head_findings(left, None)
        findings += _plans(connection, plans)
        findings += heads.findings(connection)
        findings += published_findings(connection, published)
        findings += _lease_findings(connection)
        findings += _record_findings(connection)
        findings += map(partial(Finding, "structure"), structure_faults(connection))
    return Verification(rows, head, tuple(findings))


def verify_newest(engine: Engine, rows: int, published: Sequence[Path] = ()) -> list[Finding]:
    """What is wrong with the newest rows of the journal, with its end (also as `published`), the lease and the record log. Raises
    LedgerUnavailable."""
    heads = HeadFiles.read(engine)
    with reading(engine) as connection:
        last = connection.execute(select(func.max(journal.c.seq))).scalar() or 0
        findings = [*heads.findings(connection), *published_findings(connection, published)]
        findings += [*_lease_findings(connection), *_record_findings(connection)]
        try:
            deque(_chain(connection, max(0, last - rows)), maxlen=0)
        except JournalBroken as broken:
            findings.append(Finding("chain", str(broken)))
    return findings


def _head_findings(named: Iterable[tuple[str, str]], hash_: str | None) -> list[Finding]:
    return [
        Finding("statement", f"the statement of {name} names journal head {head}, which the journal does not hold")
        for name, head in named
        if head.partition(":")[2] != hash_
    ]


def _lease_findings(connection: Connection) -> Iterator[Finding]:
    """The fencing token only grows: a lease with a smaller one than the journal's would let a paused former leader write again."""
    newest = connection.execute(select(func.max(journal.c.token))).scalar() or 0
    try:
        held = connection.execute(select(lease.c.token, lease.c.owner).where(lease.c.name == LEADER)).one_or_none()
    except (SQLAlchemyError, UnicodeDecodeError) as fault:
        yield Finding("lease", f"the leader lease cannot be read: {fault}")
        return
    if newest and (held is None or not isinstance(held.token, int) or held.token < newest):
        found = "is missing" if held is None else f"has fencing token {held.token}"
        yield Finding("lease", f"the leader lease {found}, but the journal's newest token is {newest}")


def _record_findings(connection: Connection) -> list[Finding]:
    try:
        findings, elsewhere = verify_records(connection)
        hours = {row: digest for (table, row), digest in elsewhere.items() if table == TELEMETRY}
        if (folder := data_dir_of(connection.engine)) is not None:
            findings += [Finding("telemetry", text) for text in faults_among(hours, folder / TELEMETRY).values()]
        return findings
    except JournalBroken as broken:
        return [Finding("record", str(broken))]


def chain_rows(engine: Engine) -> int:
    """The number of rows whose chain holds. Raises JournalBroken naming the first that does not, LedgerUnavailable."""
    with reading(engine) as connection:
        return sum(1 for _ in _chain(connection))


def _chain(connection: Connection, after: int = 0) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """Every row after one: its number, hash, kind and document. Raises JournalBroken naming the first that does not hold."""
    columns = journal.c
    texts = [utf8(c).label(c.name) for c in (columns.at, columns.kind, columns.document, columns.prev_hash, columns.hash)]
    wanted = select(columns.seq, columns.token, *texts).order_by(columns.seq).execution_options(yield_per=BATCH)
    rows = connection.execute(wanted.where(columns.seq > after) if after else wanted)
    last, leader = after, 0
    head = (connection.execute(select(journal.c.hash).where(journal.c.seq == after)).scalar() or "").encode()
    while True:
        try:
            row = next(rows, None)
        except SQLAlchemyError as fault:
            raise JournalBroken(f"a row after {last} cannot be read: {fault}") from fault
        if row is None:
            return
        seq, token, at, kind, text, prev, hash_ = row
        if seq != last + 1:
            raise JournalBroken(f"row {last + 1} is missing: row {seq} follows row {last}")
        if prev != head:
            raise JournalBroken(f"row {seq} does not follow row {last}: it names another hash before it")
        if not isinstance(token, int) or row_hash(head.decode(), seq, token, text).encode() != hash_:
            raise JournalBroken(f"row {seq} was changed: its hash does not match what it says")
        document = json.loads(text)
        if kind != document["entry"].encode() or at != instant_text(parse_instant(document["at"])).encode():
            raise JournalBroken(f"row {seq} was changed: its kind or time is not its document's")
        if token < leader:
            raise JournalBroken(f"row {seq} carries fencing token {token} after {leader}")
        last, head, leader = seq, hash_, token
        yield seq, hash_.decode(), kind.decode(), document


class _Projection:
    """Compares the tables of prices, calls and awards with the journal, row by row."""

    def __init__(self, connection: Connection) -> None:
        self._rows = {
            table: iter(connection.execution_options(yield_per=BATCH).execute(select(table).order_by(table.c.seq, table.c.nth)).mappings())
            for table in PROJECTED
        }

    def compare(self, seq: int, seen: dict[str, Any]) -> Iterator[Finding]:
        facts = _projected(seen)
        for table, expected in (*price_rows(seq, facts), *((signals, row) for row in signal_rows(seq, facts))):
            try:
                found = next(self._rows[table], None) if table in self._rows else expected
            except (SQLAlchemyError, LedgerUnavailable, UnicodeDecodeError) as fault:
                del self._rows[table]
                yield Finding("projection", f"{table.name}: row ({seq}, {expected['nth']}) or one before cannot be read: {fault}")
                continue
            if found is None or any(found[key] != value for key, value in expected.items()):
                yield Finding("projection", f"{table.name}: row ({seq}, {expected['nth']}) does not say what journal row {seq} says")

    def rest(self) -> Iterator[Finding]:
        for table, rows in self._rows.items():
            try:
                if (left := next(rows, None)) is not None:
                    yield Finding("projection", f"{table.name}: row ({left['seq']}, {left['nth']}) is in no journal row")
            except (SQLAlchemyError, LedgerUnavailable, UnicodeDecodeError) as fault:
                yield Finding("projection", f"{table.name}: a row behind the last cannot be read: {fault}")


def _projected(seen: dict[str, Any]) -> list[Fact]:
    """The facts in their places; those that are not projected stand as a fact of no table."""
    blank = Fact(source="", known_at=parse_instant(seen["at"]))
    return [fact_from_json(f) if f["fact"] in _PROJECTED_FACTS else blank for f in seen["facts"]]


def _plans(connection: Connection, plans: dict[str, int]) -> Iterator[Finding]:
    for key, packed in connection.execution_options(yield_per=16).execute(select(blobs)):
        seq = plans.pop(key, None)
        try:
            sound = sha256(zlib.decompress(packed)).hexdigest() == key
        except zlib.error:
            sound = False
        if sound and seq is None:
            yield Finding("plan", f"the plan {key} is in no journal row")
        if not sound:
            yield Finding("plan", f"the plan of row {seq} was changed: it does not have its hash {key}")
    yield from (Finding("plan", f"the plan of row {seq} is missing: {key}") for key, seq in plans.items())


def _statement_heads(connection: Connection) -> dict[int, list[tuple[str, str]]]:
    """Journal heads ("seq:hash") that statements carry, by seq: they betray a journal that was rewritten or cut after the statement."""
    heads: dict[int, list[tuple[str, str]]] = {}
    for row in connection.execute(select(statements.c.date, statements.c.version, statements.c.journal_head)):
        first = row.journal_head.partition(":")[0]
        seq = int(first) if first.isdecimal() else -1
        if seq:
            heads.setdefault(seq, []).append((f"{row.date} version {row.version}", row.journal_head))
    return heads
