"""Questions to a whole book of contracts: who settles whose energy and hashing, and which generators stand behind which meter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from markets.grid import Interval
from markets.outlook import PeakWindow
from optimizer.domain.array_types import Numbers
from optimizer.domain.generator import Generator
from optimizer.domain.obligation import Obligation, Taken
from optimizer.domain.site import Site

# The share of each interval inside a stretch of time, all of it when None.
During = Callable[[Interval | None], Numbers]
Settled = dict[str, dict[str, Numbers]]


def generators_by_meter(book: Sequence[Obligation], site: Site) -> dict[str, tuple[Generator, ...]]:
    """The generators of a book's contracts, by meter."""
    found: dict[str, tuple[Generator, ...]] = {}
    for obligation in book:
        made = obligation.generator(site)
        if made is not None:
            found[made.meter] = (*found.get(made.meter, ()), made)
    return found


def energy_settled_by(book: Sequence[Obligation], site: Site, during: During) -> Settled:
    """Which contract settles whose energy in place of `power`, by contract and group, as a share of each interval."""
    return _shared_out([(o.name, o.settles_energy(site)) for o in book], during)


def hash_settled_by(book: Sequence[Obligation], site: Site, during: During) -> Settled:
    """Which contract settles whose hashing in place of `hashing`, by contract and group, as a share of each interval."""
    return _shared_out([(o.name, o.settles_hash(site)) for o in book], during)


def peak_windows(book: Sequence[Obligation]) -> tuple[PeakWindow, ...]:
    """The ways of metering whose coincident system peaks the contracts of a book need foreseen, each once."""
    return tuple(dict.fromkeys(window for o in book for window in o.peak_windows()))


def _shared_out(claims: Sequence[tuple[str, Taken]], during: During) -> Settled:
    """The first contract of the book to claim a group in an interval has it."""
    shares: dict[str, dict[str, Numbers]] = {}
    left: dict[str, Numbers] = {}
    for name, claimed in claims:
        for group, over in claimed.items():
            free = left.get(group, during(None))
            share = np.minimum(during(over), free)
            left[group] = free - share
            shares.setdefault(name, {})[group] = share
    return shares
