"""Questions to a whole book of contracts: who settles whose energy and hashing, which generators are behind which meter, and what its
contracts remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from markets.facts import Award
from markets.grid import Interval
from markets.outlook import PeakWindow
from optimizer.domain.array_types import Numbers
from optimizer.domain.deployments import BASELINE
from optimizer.domain.generator import Generator, GeneratorMemory
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.memory import DeclaredBaseline, Memory
from optimizer.domain.obligation import Obligation, Taken
from optimizer.domain.site import Site

# The share of each interval inside a stretch of time, all of it when None.
During = Callable[[Interval | None], Numbers]
Settled = dict[str, dict[str, Numbers]]


def generators_by_meter(book: Sequence[Obligation], site: Site, failures: PluginFailures | None = None) -> dict[str, tuple[Generator, ...]]:
    """The generators of a book's contracts, by meter. What a contract raises is recorded in `failures`; without `failures` it is raised."""
    found: dict[str, tuple[Generator, ...]] = {}
    for obligation in book:
        with failures.of(obligation) if failures is not None else nullcontext():
            if (made := obligation.generator(site)) is not None:
                found[made.meter] = (*found.get(made.meter, ()), made)
    return found


def energy_settled_by(book: Sequence[Obligation], site: Site, during: During) -> Settled:
    """Which contract settles whose energy in place of `power`, by contract and group, as a share of each interval."""
    return _shared_out([(o.name, o.settles_energy(site)) for o in book], during)


def hash_settled_by(book: Sequence[Obligation], site: Site, during: During) -> Settled:
    """Which contract settles whose hashing in place of `hashing`, by contract and group, as a share of each interval."""
    return _shared_out([(o.name, o.settles_hash(site)) for o in book], during)


def complete_memories(
    book: Sequence[Obligation],
    remembered: Mapping[str, Memory],
    load_before_mw: Mapping[str, float],
    generators: Mapping[str, GeneratorMemory],
    awards: Sequence[Award],
) -> dict[str, Memory]:
    """The memory of every contract of a book: what was remembered of days, the loads at notice by call id, what generators do, and the
    baselines among awards."""
    found: dict[str, Memory] = {}
    for obligation in book:
        memory = obligation.memory_from(remembered)
        if isinstance(memory, GeneratorMemory) and obligation.name in generators:
            now = generators[obligation.name]
            memory = replace(memory, running_mw=now.running_mw, since=now.since)
        said = tuple(DeclaredBaseline(a.over, a.mw) for a in awards if (a.obligation, a.product) == (obligation.name, BASELINE))
        found[obligation.name] = replace(memory, load_before_mw=load_before_mw, baselines=said)
    return found


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
