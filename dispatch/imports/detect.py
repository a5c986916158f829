"""Chooses the reader of a file by its content."""

from __future__ import annotations

from datetime import date

from dispatch.imports import UnreadableDocument
from dispatch.imports.charges_csv import read_charges
from dispatch.imports.csv_table import read_table
from dispatch.imports.ercot_extract import is_extract, read_extract, unzipped
from dispatch.imports.ercot_xml import is_ercot_statement, read_ercot_statement
from dispatch.imports.espi import read_espi
from dispatch.imports.meter_csv import MeterMap, parse_meter_map, read_meter_csv
from dispatch.imports.meter_readings import ImportedReadings
from dispatch.imports.safe_xml import is_xml, local_name, parse_xml
from dispatch.imports.statement import ReceivedStatement, StatementMap, parse_statement_map
from markets.grid import Market, OperatingDay
from optimizer.domain.site import Site


def read_meter_file(content: bytes, map_text: str, site: Site) -> ImportedReadings:
    """The readings of a meter file: Green Button where it is XML, else CSV. Raises UnreadableDocument, a line a fault."""
    how = parse_meter_map(map_text) if map_text else MeterMap()
    known = {name: m.id for m in site.meters for name in (m.id, m.esi_id) if name}
    if how.meter is not None and how.meter not in known:
        raise UnreadableDocument(f"map: meter: {how.meter!r} is not a meter of the site; there are {', '.join(m.id for m in site.meters)}")
    lone = site.meters[0].id if len(site.meters) == 1 else None
    most_mw = max([site.interconnect_mw, *(m.import_mw or 0.0 for m in site.meters)])
    if is_xml(content):
        return read_espi(content, how, known, lone, most_mw)
    # MISO keeps EST all year; a utility's file there is the site's own clock, which a map must say.
    times_in = site.market.tz if site.market is not Market.MISO else None
    return read_meter_csv(content, how, known, lone, times_in, most_mw)


def read_statement_file(content: bytes, map_text: str, market: Market) -> tuple[ReceivedStatement, StatementMap]:
    """A statement, an extract or an invoice, and the map it was read by. Raises UnreadableDocument, a line a fault."""
    how = parse_statement_map(map_text) if map_text else StatementMap()
    if content.startswith(b"PK"):
        return read_extract(unzipped(content), how), how
    if is_xml(content):
        root = parse_xml(content)
        if is_ercot_statement(root):
            return read_ercot_statement(root), how
        if is_extract(root):
            return read_extract({"file": content}, how), how
        raise UnreadableDocument(f"is XML of an unknown kind: its root is {local_name(root)!r}")
    columns = {c.upper() for c in read_table(content).columns}
    if {"STARTTIME", "INTERVALCOUNT"} <= columns or "UIDBILLDETERMINANT" in columns:
        return read_extract({"file": content}, how), how
    return read_charges(content, how, market), how


def operating_days_of(file: ImportedReadings, market: Market) -> tuple[date | None, date | None]:
    """The first and last operating day of a meter file's readings."""
    if not file.readings:
        return None, None
    first, last = min(r.over.start for r in file.readings), max(r.over.start for r in file.readings)
    return OperatingDay.of(market, first).on, OperatingDay.of(market, last).on
