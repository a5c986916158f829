"""What a site could do with every rig running, beside which its sleep at coincident peaks is measured."""

from __future__ import annotations

import numpy as np

from dispatch.decide.break_evens import break_evens_without_peaks
from markets.outlook import Outlook
from optimizer.domain.obligation import Book
from optimizer.domain.site import Site
from optimizer.settlement.peak_record import FullLoad


def full_load(site: Site, book: Book, final: Outlook) -> FullLoad:
    """In each interval of an outlook: every rig of the site file in its fullest mode, at the outlook's temperature, and each group's
    break-even by its hashprice."""
    hours, celsius = final.grid.hours, final.temperature_c.values.tolist()
    overheads = {g.name: np.array([1.0 + site.hall_of[g.name].overhead.at(c) for c in celsius]) for g in site.groups}
    unknown = np.full(len(hours), np.nan)
    break_even = break_evens_without_peaks(site, book, final) or {g.name: unknown for g in site.groups}
    return FullLoad(
        {g.name: g.rigs * g.full.watts / 1e6 * hours * overheads[g.name] for g in site.groups},
        {g.name: g.rigs * g.full.ths / 1e3 * hours / 24.0 for g in site.groups},
        break_even,
    )
