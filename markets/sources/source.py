"""Source: whoever tells us facts. A site file names it; the entry points of `markets.sources` open it, built-in or plugged in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from markets.facts import Fact

# ERCOT publishes a quarter hour about 2 minutes after its end, MISO five minutes about as late: MARKETS section 4.
STALE_AFTER = {"ercot": timedelta(minutes=20), "miso": timedelta(minutes=12), "tariff": timedelta(days=2)}


class Source(Protocol):
    """Gives the facts that became known in (since, until], in order of `known_at`.

    A live source is asked with `until` = now and stamps what it finds with the instant it found it; an archive or a synthetic
    market answers any window, always with the same facts. One bad value refuses the whole frame (Refused).
    """

    name: str
    synthetic: bool

    async def fetch(self, since: datetime, until: datetime) -> Sequence[Fact]:
        """Raises SourceError (Stale, NotPublished, Unreachable, Refused)."""
        ...
