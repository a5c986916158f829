"""Tables that another program writes, as a Source: what wind and solar plants can make, and outside temperature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from markets import SourceError
from markets.archive.gridstatus_tables import native
from markets.archive.tables import TableFault, open_table
from markets.archive.vintages import fact_of
from markets.facts import Fact
from markets.grid import utc


class FactTables:
    """Tables of facts of some kinds of the archive, with gridstatus's columns (docs/reference/archive.md).

    A file is read again when it changed. What is new in it then is given with the next answer, whenever it was published: a forecast that
    is written late is not lost.
    """

    synthetic = False

    def __init__(self, name: str, paths: Sequence[Path], kinds: Collection[str]) -> None:
        self.name, self._paths, self._kinds = name, tuple(paths), frozenset(kinds)
        self._changed_ns: dict[Path, int] = {}
        self._facts: dict[Path, list[Fact]] = {}

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """The facts that became known in (since, until], or came into a file since the last answer, in order of `known_at`. Raises
        SourceError when a file cannot be read."""
        since, until = utc(since), utc(until)
        late = {fact for path in self._paths for fact in self._read(path)}
        known = dict.fromkeys(fact for path in self._paths for fact in self._facts[path] if fact.known_at <= until)
        return sorted((f for f in known if f.known_at > since or f in late), key=lambda fact: (fact.known_at, repr(fact)))

    def _read(self, path: Path) -> set[Fact]:
        """Reads a file that changed. Returns what it holds beyond what it held when it was read before."""
        try:
            changed_ns = path.stat().st_mtime_ns
            if self._changed_ns.get(path) == changed_ns:
                return set()
            frames = native(open_table(path))
        except (OSError, TableFault) as error:
            raise SourceError(f"{path.name}: {error}") from error
        if strange := sorted(set(frames) - self._kinds):
            raise SourceError(f"{path.name}: it holds facts of the kind {strange[0]!r}, not of {self.name}")
        facts = [fact_of(kind, row) for kind, frame in frames.items() for row in frame.drop_nulls("value").iter_rows(named=True)]
        late = set(facts) - set(self._facts[path]) if path in self._facts else set[Fact]()
        self._changed_ns[path], self._facts[path] = changed_ns, facts
        return late
