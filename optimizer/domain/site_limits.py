"""The limits of the site itself: interconnect, halls, the lines of meters, and what contracts limit whatever is asked of them.

One list for the merit order, which plans within it, and for every decision, which applies it last: after the plan or the safe state, after
calls and holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from markets.grid import Grid
from markets.series import Series
from optimizer.domain.array_types import Floats
from optimizer.domain.generator import NOTHING_KNOWN, Generator
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Scope, Site


@dataclass(frozen=True, slots=True)
class SiteLimit:
    """The most that some groups may draw together at their meters, overhead included: MW by interval, shape (n,). `name` is what a
    shortfall is reported under, `why` the sentence of a decision that it changes."""

    name: str
    groups: tuple[str, ...]
    most_mw: Floats
    why: str


def site_limits(
    site: Site,
    book: Sequence[Obligation],
    grid: Grid,
    failures: PluginFailures | None = None,
    available_mw: Mapping[str, Series] = NOTHING_KNOWN,
) -> list[SiteLimit]:
    """Every limit of the site over a grid, the largest part of it first. A line brings its `import_mw` and what the generators behind its
    meter can make, wind and solar plants as far as `available_mw` knows of it. What a contract raises goes to `failures`, and its own
    limits are left out."""
    failures, n = failures or PluginFailures(), len(grid)
    everything = tuple(g.name for g in site.groups)
    found = [SiteLimit("interconnect", everything, np.full(n, site.interconnect_mw), f"interconnect: at most {site.interconnect_mw:g} MW")]
    found += _line_limits(site, book, grid, failures, available_mw)
    for hall in site.halls:
        behind = Scope(hall=hall.name).names(site)
        found.append(SiteLimit(f"hall {hall.name}", behind, np.full(n, hall.limit_mw), f"hall {hall.name}: at most {hall.limit_mw:g} MW"))
    for obligation in book:
        with failures.of(obligation):
            found += [SiteLimit(obligation.name, limit.groups, limit.most_mw(grid), limit.why) for limit in obligation.limits(site)]
    return [limit for limit in found if limit.groups]


def _line_limits(
    site: Site, book: Sequence[Obligation], grid: Grid, failures: PluginFailures, available_mw: Mapping[str, Series]
) -> list[SiteLimit]:
    machines: list[Generator] = []
    for obligation in book:
        with failures.of(obligation):
            machines += [made] if (made := obligation.generator(site)) else []
    found = []
    for meter in site.meters:
        if meter.import_mw is None:
            continue
        here = [machine for machine in machines if machine.meter == meter.id]
        most = meter.import_mw + sum((machine.most_mw(grid, available_mw) for machine in here), np.zeros(len(grid)))
        beside = "".join(f" and {m.name} {m.mw:g} MW" for m in here)
        why = f"line of meter {meter.id}: {meter.import_mw:g} MW{beside}"
        found.append(SiteLimit(f"line {meter.id}", Scope(meter=meter.id).names(site), most, why))
    return found
