"""Statements of the ledger as the money page reads them: only the days that it shows, and each version parsed once."""

from __future__ import annotations

from datetime import date
from threading import Lock

from sqlalchemy import Engine

from dispatch.settlement.document import DayStatement, from_json
from dispatch.store.statements import kept_statement, kept_statement_days

MOST = 200  # parsed statements that are remembered: about six months
PEAK_LINES = "coincident_peak"  # the only lines that a month is added up from


class ReadStatements:
    """Statements read so far, without their intervals and all lines but those at coincident peaks: these are most of a statement's text.
    A version never changes, so it is read and parsed once while it is remembered."""

    def __init__(self) -> None:
        self._read: dict[tuple[date, str, int], DayStatement] = {}
        self._lock = Lock()

    def versions(self, engine: Engine, market: str) -> dict[date, list[int]]:
        """The versions of each settled day, oldest first; no statement is read for it. Raises LedgerUnavailable."""
        found: dict[date, list[int]] = {}
        for on, kept_market, version in kept_statement_days(engine):
            if kept_market == market:
                found.setdefault(on, []).append(version)
        return found

    def statement(self, engine: Engine, on: date, market: str, version: int) -> DayStatement:
        """A version that is kept. Raises LookupError when it is not, JournalBroken when its text was changed, LedgerUnavailable."""
        key = (on, market, version)
        if (found := self._read.get(key)) is not None:
            return found
        kept = kept_statement(engine, on, market, version)
        if kept is None:
            raise LookupError(f"version {version} of {on} is not kept")
        statement = from_json(kept.document)
        lines = [line for line in statement["lines"] if line["charge_type"] == PEAK_LINES]
        brief: DayStatement = {**statement, "lines": lines, "intervals": []}
        with self._lock:
            self._read[key] = brief
            while len(self._read) > MOST:
                del self._read[next(iter(self._read))]
        return brief
