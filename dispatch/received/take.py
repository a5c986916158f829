"""A file from outside, by what it holds: which reader, which meters, which days."""

from __future__ import annotations

from datetime import date

from dispatch.received import Unreadable
from dispatch.received.espi import is_espi, read_espi
from dispatch.received.metercsv import MeterMap, meter_map, read_csv
from dispatch.received.readings import MeterFile
from markets.grid import Market, OperatingDay
from optimizer.site import Site


def meter_file(content: bytes, map_text: str, site: Site) -> MeterFile:
    """The readings of a meter file: Green Button where it is XML, else CSV. Raises Unreadable, a line a fault."""
    how = meter_map(map_text) if map_text else MeterMap()
    known = {name: m.id for m in site.meters for name in (m.id, m.esi_id) if name}
    if how.meter is not None and how.meter not in known:
        raise Unreadable(f"map: meter: {how.meter!r} is no meter of the site; there are {', '.join(m.id for m in site.meters)}")
    lone = site.meters[0].id if len(site.meters) == 1 else None
    most_mw = max([site.interconnect_mw, *(m.import_mw or 0.0 for m in site.meters)])
    if is_espi(content):
        return read_espi(content, how, known, lone, most_mw)
    # MISO keeps EST all year; a utility's file there is the site's own clock, which a map must say.
    local = site.market.tz if site.market is not Market.MISO else None
    return read_csv(content, how, known, lone, local, most_mw)


def days_of(file: MeterFile, market: Market) -> tuple[date | None, date | None]:
    """The first and last operating day a meter file speaks of."""
    if not file.readings:
        return None, None
    first, last = min(r.over.start for r in file.readings), max(r.over.start for r in file.readings)
    return OperatingDay.of(market, first).on, OperatingDay.of(market, last).on
