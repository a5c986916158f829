"""Roll-ups as a bill reads them: integers from the ledger, interchangeable groups added up, then Decimals at the meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from dispatch.settlement.prices import NAN
from dispatch.store.rollups import Whole, read_rollup_matrix
from markets.grid import Grid
from optimizer.domain.money import decimal
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Availability, Site, SoFar
from optimizer.lp.cohorts import gather

Exact = NDArray[Any]


def load_by_cohort(
    engine: Engine, site: Site, book: Sequence[Obligation] | None, grid: Grid, celsius: Sequence[float]
) -> tuple[Site, Mapping[str, Exact], Mapping[str, Exact]]:
    """A site, and MWh at the meter and PH/s-days by its groups, NaN where nothing was written, shape (n,).

    With a `book`, groups that all of its contracts treat alike (optimizer/lp/cohorts.py) become one group of the returned site: the bill is
    the same, in a tenth of the time. `celsius` is the outside temperature of each interval, shape (n,). Raises LedgerUnavailable."""
    members: dict[str, tuple[str, ...]] = {g.name: (g.name,) for g in site.groups}
    if book is not None:
        cohorts = gather(site, book, SoFar(at=grid.start), Availability(), np.asarray(celsius))
        site, members = cohorts.site, {first: tuple(n for n, _ in alike) for first, alike in cohorts.members.items()}
    step_min = int(grid.edges[1] - grid.edges[0]) // 60
    read = read_rollup_matrix(engine, grid.over, step_min, [name for alike in members.values() for name in alike])
    row = {name: k for k, name in enumerate(read.groups)}
    overhead = {h.name: _factors([h.overhead.at(c) for c in celsius]) for h in site.halls}
    energy, hashed = {}, {}
    for first, alike in members.items():
        rows = [row[name] for name in alike]
        known = read.known[rows].all(axis=0)
        energy[first] = _exact(read.energy[rows].sum(axis=0), known) * overhead[site.hall_of[first].name]
        hashed[first] = _exact(read.hash[rows].sum(axis=0), known)
    return site, energy, hashed


def not_kept(engine: Engine, site: Site, grid: Grid) -> NDArray[np.bool_]:
    """Whether the ledger lacks the roll-up of any group in each interval, shape (n,). Raises LedgerUnavailable."""
    step_min = int(grid.edges[1] - grid.edges[0]) // 60
    kept = read_rollup_matrix(engine, grid.over, step_min, [g.name for g in site.groups]).kept
    return np.asarray(~kept.all(axis=0))


def _factors(shares: Sequence[float]) -> Exact:
    out = np.empty(len(shares), dtype=object)
    out[:] = [1 + decimal(share) for share in shares]
    return out


def _exact(trillionths: Whole, known: Any) -> Exact:
    """Decimals of integers that count 1e-12, NaN where not known."""
    out = np.empty(len(trillionths), dtype=object)
    out[:] = [Decimal(n).scaleb(-12) if is_known else NAN for n, is_known in zip(trillionths.tolist(), known.tolist(), strict=True)]
    return out
