"""What a source of facts is. A site file names one by its entry point in the group `markets.sources`, built in or plugged in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from markets.facts import Fact


class Source(Protocol):
    """Gives the facts that became known in (since, until], in order of `known_at`.

    A live source is asked with `until` = now and gives each fact the instant it found it as `known_at`. An archive or a synthetic market
    answers any window, always with the same facts. One bad value refuses the whole document it came in (Refused). `synthetic` is true for a
    source whose facts a program made up.
    """

    name: str
    synthetic: bool

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """Raises SourceError (Stale, NotPublished, Unreachable, Refused)."""
        ...
