"""A file from outside, by what it holds: which reader, which meters, which days."""

from __future__ import annotations

from datetime import date

from dispatch.imports import Unreadable
from dispatch.imports.charges_csv import read_charges
from dispatch.imports.csv_table import table
from dispatch.imports.ercot_extract import is_extract, read_extract, unzipped
from dispatch.imports.ercot_xml import is_statement, read_statement
from dispatch.imports.espi import read_espi
from dispatch.imports.meter_csv import MeterMap, meter_map, read_csv
from dispatch.imports.meter_readings import MeterFile
from dispatch.imports.safe_xml import is_xml, local, tree
from dispatch.imports.statement import Received, StatementMap, statement_map
from markets.grid import Market, OperatingDay
from optimizer.domain.site import Site


def meter_file(content: bytes, map_text: str, site: Site) -> MeterFile:
    """The readings of a meter file: Green Button where it is XML, else CSV. Raises Unreadable, a line a fault."""
    how = meter_map(map_text) if map_text else MeterMap()
    known = {name: m.id for m in site.meters for name in (m.id, m.esi_id) if name}
    if how.meter is not None and how.meter not in known:
        raise Unreadable(f"map: meter: {how.meter!r} is no meter of the site; there are {', '.join(m.id for m in site.meters)}")
    lone = site.meters[0].id if len(site.meters) == 1 else None
    most_mw = max([site.interconnect_mw, *(m.import_mw or 0.0 for m in site.meters)])
    if is_xml(content):
        return read_espi(content, how, known, lone, most_mw)
    # MISO keeps EST all year; a utility's file there is the site's own clock, which a map must say.
    local = site.market.tz if site.market is not Market.MISO else None
    return read_csv(content, how, known, lone, local, most_mw)


def statement(content: bytes, map_text: str, market: Market) -> tuple[Received, StatementMap]:
    """A statement, an extract or an invoice, and the map it was read by. Raises Unreadable, a line a fault."""
    how = statement_map(map_text) if map_text else StatementMap()
    if content.startswith(b"PK"):
        return read_extract(unzipped(content), how), how
    if is_xml(content):
        root = tree(content)
        if is_statement(root):
            return read_statement(root), how
        if is_extract(root):
            return read_extract({"file": content}, how), how
        raise Unreadable(f"is XML of a kind nobody here reads: its root is {local(root)!r}")
    columns = {c.upper() for c in table(content).columns}
    if {"STARTTIME", "INTERVALCOUNT"} <= columns or "UIDBILLDETERMINANT" in columns:
        return read_extract({"file": content}, how), how
    return read_charges(content, how, market), how


def days_of(file: MeterFile, market: Market) -> tuple[date | None, date | None]:
    """The first and last operating day a meter file speaks of."""
    if not file.readings:
        return None, None
    first, last = min(r.over.start for r in file.readings), max(r.over.start for r in file.readings)
    return OperatingDay.of(market, first).on, OperatingDay.of(market, last).on
