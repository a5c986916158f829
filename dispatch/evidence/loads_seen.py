"""The metered load of each group at each observation, from the journal's rows: an event of any age has its readings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dispatch.entries import Entry, Seen
from markets.factbook import FactBook
from markets.facts import Temperature
from markets.forecasting.ladder import MILD_CELSIUS
from optimizer.domain.site import Site


def loads_seen(entries: Iterable[Entry], site: Site) -> list[tuple[datetime, dict[str, float]]]:
    """MW at the meter by group, the hall's overhead included at the temperature that the rows have made known by then; mild weather where
    none is known."""
    facts, found = FactBook(), []
    for entry in entries:
        if not isinstance(entry, Seen):
            continue
        if warm := [fact for fact in entry.facts if isinstance(fact, Temperature)]:
            facts = facts.after(warm)
        outside = facts.temperature(entry.at)
        celsius = outside.celsius if outside else MILD_CELSIUS
        ours = {name: seen for name, seen in entry.fleet.items() if name in site.hall_of}
        found.append((entry.at, {name: seen.load_mw * (1.0 + site.hall_of[name].overhead.at(celsius)) for name, seen in ours.items()}))
    return found
