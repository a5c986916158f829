"""Green Button: interval readings of an ESPI document (NAESB REQ.21) in an Atom feed, or bare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.etree.ElementTree import Element

from dispatch.imports.csv_table import parse_number
from dispatch.imports.meter_csv import MeterMap
from dispatch.imports.meter_readings import ACTUAL, DELIVERED, ESTIMATED, RETURNED, ImportedReadings, RawReading, checked_readings
from dispatch.imports.safe_xml import child_text, children, local_name, parse_xml
from markets.grid import Interval
from optimizer.domain.money import Finding

# uom of a ReadingType (ESPI UomType); flowDirection; accumulationBehaviour 3 is a running total, not an interval's energy.
UNITS = {"72": "wh", "38": "w"}
FLOWS = {"": DELIVERED, "1": DELIVERED, "4": DELIVERED, "19": RETURNED}
CUMULATIVE = ("1", "3")
# qualityOfReading: 0 valid, 14 raw, 17 validated, 18 verified, 19 revenue quality; the rest is edited, estimated or in doubt.
ACTUAL_QUALITY = ("", "0", "14", "17", "18", "19")
LONGEST_S, LATEST_S = 86_400, 7_258_118_400  # a day; the year 2200


@dataclass(frozen=True, slots=True)
class _Entry:
    """A resource of a feed: the address it goes by, what it links to, its title."""

    href: str
    resource: Element
    related: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class _Type:
    """What a reading type says of its values."""

    unit: str
    scale: Decimal
    flow: str
    why_not: str = ""


def read_espi(content: bytes, how: MeterMap, known: Mapping[str, str], lone: str | None, most_mw: float | None = None) -> ImportedReadings:
    """The readings of an ESPI document, rows counted from 1. `known` are the names meters go by = their ids, `lone` the site's only meter.
    Raises UnreadableDocument for XML that is broken, has entities, or holds no readings."""
    root = parse_xml(content)
    entries = _entries(root)
    types = {e.href: _type(e.resource) for e in entries if local_name(e.resource) == "ReadingType"}
    of_reading = {e.href: next((h for h in e.related if h in types), None) for e in entries if local_name(e.resource) == "MeterReading"}
    points = {e.href: e.title for e in entries if local_name(e.resource) == "UsagePoint"}
    findings: list[Finding] = []
    raws: list[RawReading] = []
    row = 0
    for block in (e for e in entries if local_name(e.resource) == "IntervalBlock"):
        kind = _of_block(block.href, of_reading, types)
        meter = _meter(block.href, points, how, known, lone)
        for reading in (e for e in block.resource.iter() if local_name(e) == "IntervalReading"):
            row += 1
            why = kind if isinstance(kind, str) else kind.why_not
            if meter is None:
                why = "its usage point is not a meter of the site: say `meter = ID` in a map"
            raw = _raw(reading, row, meter or "", kind, findings) if isinstance(kind, _Type) and not why else None
            if why:
                findings.append(Finding("unit" if meter else "meter", f"reading {row}: {why}: not used"))
            if raw is not None:
                raws.append(raw)
    return checked_readings(raws, findings, row, most_mw)


def _entries(root: Element) -> list[_Entry]:
    """The resources of a feed; of a document without one, those it holds."""
    found = []
    for entry in (e for e in root.iter() if local_name(e) == "entry"):
        links = [(link.get("rel", ""), link.get("href", "")) for link in children(entry, "link")]
        href = next((h for rel, h in links if rel == "self"), "")
        related = tuple(h for rel, h in links if rel == "related")
        found += [
            _Entry(href, resource, related, child_text(entry, "title")) for content in children(entry, "content") for resource in content
        ]
    return found or [_Entry("", e) for e in root.iter() if local_name(e) in ("ReadingType", "IntervalBlock", "MeterReading")]


def _type(element: Element) -> _Type:
    unit = UNITS.get(child_text(element, "uom"))
    why = "" if unit else f"unit of measure {child_text(element, 'uom') or 'none'} is neither Wh (72) nor W (38)"
    if child_text(element, "accumulationBehaviour") in CUMULATIVE:
        why = "a running total of the register, not an interval's energy"
    flow = FLOWS.get(child_text(element, "flowDirection"))
    if flow is None:
        why = f"flow direction {child_text(element, 'flowDirection')} is neither drawn (1), net (4) nor returned (19)"
    power = child_text(element, "powerOfTenMultiplier") or "0"
    scale = Decimal(1)
    if re.fullmatch(r"-?\d{1,2}", power):
        scale = scale.scaleb(int(power))
    else:
        why = f"power of ten {power[:20]!r} is not a small whole number"
    return _Type(unit or "wh", scale, flow or DELIVERED, why)


def _of_block(href: str, of_reading: Mapping[str, str | None], types: Mapping[str, _Type]) -> _Type | str:
    """The reading type of a block: by its meter reading's links, else the file's only one; else the words why not."""
    for reading, kind in of_reading.items():
        if reading and href.startswith(f"{reading}/") and kind is not None:
            return types[kind]
    if len(types) == 1:
        return next(iter(types.values()))
    return "no reading type says its unit" if not types else "which of the file's reading types is its own cannot be told"


def _meter(href: str, points: Mapping[str, str], how: MeterMap, known: Mapping[str, str], lone: str | None) -> str | None:
    """The meter of a block: as the map says, by its usage point's title or address, else the only one there is."""
    if how.meter:
        return how.meter
    point = next((p for p in points if p and href.startswith(f"{p}/")), "")
    names = (points.get(point, "").strip(), point.rpartition("/")[2])
    for name in names:
        if name and (name in how.meters or name in known):
            return how.meters.get(name) or known[name]
    return lone


def _raw(reading: Element, row: int, meter: str, kind: _Type, findings: list[Finding]) -> RawReading | None:
    period = next(iter(children(reading, "timePeriod")), None)
    try:
        if period is None:
            raise ValueError("it has no time period")
        start, duration = int(child_text(period, "start")), int(child_text(period, "duration"))
        if not 0 < duration <= LONGEST_S or not 0 < start < LATEST_S:
            raise ValueError(f"{duration} seconds from {start} is not an interval of a meter")
        value = parse_number(child_text(reading, "value"))
        over = Interval(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(start, UTC) + timedelta(seconds=duration))
    except ValueError as error:
        findings.append(Finding("value", f"reading {row}: {error}: not used"))
        return None
    codes = [child_text(q, "quality") for q in children(reading, "ReadingQuality")] or [child_text(reading, "quality")]
    quality = ACTUAL if all(code in ACTUAL_QUALITY for code in codes) else ESTIMATED
    return RawReading(meter, over, value * kind.scale, kind.unit, quality, row, kind.flow)
