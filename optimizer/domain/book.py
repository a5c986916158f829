"""Questions to a whole book of contracts: who settles whose energy and hashing, and which generators stand behind which meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from markets.grid import Interval
from optimizer.domain.array_types import Numbers
from optimizer.domain.generator import Generator
from optimizer.domain.site import Site


def of_book(book: Sequence[Any], site: Site) -> dict[str, tuple[Generator, ...]]:
    """The generators of a book's contracts, by meter."""
    found: dict[str, tuple[Generator, ...]] = {}
    for obligation in book:
        makes = getattr(obligation, "generator", None)
        if makes is not None:
            made = makes(site)
            found[made.meter] = (*found.get(made.meter, ()), made)
    return found


def energy_settled_by(
    book: Sequence[Any], site: Site, during: Callable[[Interval | None], Numbers], asks: str = "settles_energy"
) -> dict[str, dict[str, Numbers]]:
    """Which obligation settles whose energy in place of `power` (by `settles_hash`, whose hashing in place of `hashing`), by obligation and
    group: the first of the book to claim an interval has it."""
    taken: dict[str, dict[str, Numbers]] = {}
    left: dict[str, Numbers] = {}
    for obligation in book:
        takes = getattr(obligation, asks, None)
        for group, over in (takes(site) if takes else {}).items():
            free = left.get(group, during(None))
            share = np.minimum(during(over), free)
            left[group] = free - share
            taken.setdefault(obligation.name, {})[group] = share
    return taken
