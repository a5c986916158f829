"""Interval meter data as CSV: columns, units, offsets and quality flags by the header's names, or by a map."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from dispatch.imports import UnreadableDocument
from dispatch.imports.csv_table import (
    CsvTable,
    LocalInstant,
    cells,
    normalized,
    parse_number,
    parse_time,
    parse_zone,
    read_table,
    to_instants,
)
from dispatch.imports.meter_readings import ACTUAL, DELIVERED, ESTIMATED, MWH_PER, RETURNED, ImportedReadings, RawReading, checked_readings
from dispatch.imports.repeated_hour import starts_by_order
from markets.grid import Interval, utc
from optimizer.domain.money import Finding
from optimizer.domain.site import Written

Unit = Literal["Wh", "kWh", "MWh", "W", "kW", "MW"]
START = ("interval start", "interval start utc", "start", "start time", "usage start time", "begin", "from")
END = ("interval end", "interval end utc", "end", "end time", "usage end time", "to", "interval ending", "hour ending")
LONE = ("timestamp", "datetime", "date time", "time", "read time", "interval")
DATE = ("usage date", "date", "operating day", "read date")
VALUE = ("energy", "value", "usage", "consumption", "load", "reading", "demand", "quantity", "interval value")
QUALITY = ("quality", "quality flag", "estimated actual", "status", "flag", "read quality", "estimated")
METER = ("meter", "meter id", "esi id", "esiid", "meter number", "usage point", "cpnode")
UNIT = ("unit", "units", "uom", "uom code")
FLOW = ("consumption surplusgeneration", "flow", "direction", "channel")
FLAGS = {
    **dict.fromkeys(
        ("", "a", "actual", "act", "0", "17", "18", "19", "valid", "good", "ok", "v", "final", "revenue", "false", "no", "n"), ACTUAL
    ),
    **dict.fromkeys(("e", "est", "estimated", "estimate", "8", "9", "10", "11", "13", "true", "yes", "y", "edited", "7"), ESTIMATED),
}
FLOWS = {
    **dict.fromkeys(("", "consumption", "delivered", "forward", "import", "load", "1"), DELIVERED),
    **dict.fromkeys(("surplusgeneration", "generation", "received", "returned", "reverse", "export", "19"), RETURNED),
}
LONGEST = timedelta(days=1)


class MeterColumns(Written):
    """Which column says what."""

    start: str | None = None
    end: str | None = None
    date: str | None = None
    value: str | None = None
    quality: str | None = None
    meter: str | None = None
    unit: str | None = None
    flow: str | None = None


class MeterMap(Written):
    """How to read a meter file: what its header does not say.

    meter         whose readings they are, an id of the site file
    meters        the file's names of meters = ids of the site file
    unit          of the values, where no column says
    timezone      of times without an offset: a zone's name, or a fixed offset
    interval_min  length, where there is no end
    label         what a lone time is: the start or the end of its interval
    quality       the file's flags = actual, estimated or bad
    """

    meter: str | None = None
    meters: Mapping[str, str] = Field(default_factory=dict)
    columns: MeterColumns = MeterColumns()
    unit: Unit | None = None
    timezone: str | None = None
    interval_min: Annotated[int, Field(ge=1, le=1440)] | None = None
    label: Literal["start", "end"] = "start"
    quality: Mapping[str, Literal["actual", "estimated", "bad"]] = Field(default_factory=dict)


def parse_meter_map(text: str) -> MeterMap:
    """The map in a TOML text. Raises UnreadableDocument with every fault, a line each."""
    try:
        return MeterMap.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UnreadableDocument(f"map: is not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"map: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise UnreadableDocument("\n".join(lines)) from None


@dataclass(slots=True)
class _Reader:
    """One file being read."""

    table: CsvTable
    map: MeterMap
    known: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)

    def column(self, key: str, names: tuple[str, ...]) -> str | None:
        told = getattr(self.map.columns, key)
        if told is not None and told not in self.table.columns:
            raise UnreadableDocument(
                f"map: columns.{key}: there is no column {told!r}; there are {', '.join(map(repr, self.table.columns))}"
            )
        return told or self.table.find(*names)

    def bad(self, kind: str, line: int, text: str) -> None:
        self.findings.append(Finding(kind, f"row {line}: {text}: not used"))


def read_meter_csv(
    content: bytes, how: MeterMap, known: Mapping[str, str], lone: str | None, local: tzinfo | None = None, most_mw: float | None = None
) -> ImportedReadings:
    """The readings of a CSV file. `known` are the names meters go by = their ids; `lone` is the site's only meter; `local` is the zone of
    times without an offset where nothing else says. Raises UnreadableDocument when it is not a table of meter readings."""
    reader = _Reader(read_table(content), how, known)
    value, unit = _value(reader)
    spans = _spans(reader, parse_zone(how.timezone) if how.timezone else local)
    columns = [reader.column(k, names) for k, names in (("meter", METER), ("unit", UNIT), ("quality", QUALITY), ("flow", FLOW))]
    if not columns[0] and not (how.meter or lone):
        raise UnreadableDocument("no column names the meter and the site has several: say `meter = ID` in a map")
    if not columns[1] and not unit:
        raise UnreadableDocument(f'column {value!r} does not say its unit: say `unit = "kWh"` in a map')
    raws = []
    for (line, row), over in zip(reader.table.rows, spans, strict=True):
        raw = _raw(reader, (line, over), row, (value, unit, columns), lone) if over is not None else None
        if raw is not None:
            raws.append(raw)
    return checked_readings(raws, reader.findings, len(reader.table.rows), most_mw)


def _value(reader: _Reader) -> tuple[str, str | None]:
    """The column of values and its unit, from its name or the map."""
    named = [(c, found) for c in reader.table.columns if (found := _unit_in(c))]
    told = reader.column("value", VALUE)
    if told is None and named:
        told = named[0][0]
    if told is None:
        raise UnreadableDocument(f"no column is known to hold energy or load: {', '.join(map(repr, reader.table.columns))}; give a map")
    return told, (reader.map.unit or _unit_in(told) or "").lower() or None


def _unit_in(column: str) -> str | None:
    found = re.search(r"(?:^|[^a-z])(mwh|kwh|wh|mw|kw)(?:$|[^a-z])", column.lower().replace("_", " "))
    return found[1] if found else None


_Told = tuple[datetime | None, datetime | None]


def _spans(reader: _Reader, where: tzinfo | None) -> list[Interval | None]:
    """The interval of each row; None, and a finding, where it is not known."""
    start, end, on = (reader.column(k, names) for k, names in (("start", START), ("end", END), ("date", DATE)))
    if start is None and end is None:
        alone = reader.table.find(*LONE) or (
            on if on and ":" in (reader.table.rows[0][1].get(on, "") if reader.table.rows else "") else None
        )
        if alone is None:
            raise UnreadableDocument(f"no column is known to hold times: {', '.join(map(repr, reader.table.columns))}; give a map")
        start, end, on = (alone, None, None) if reader.map.label == "start" else (None, alone, None)
    told: list[_Told] = []
    for line, row in reader.table.rows:
        try:
            told.append(_written(row, start, end, on))
        except ValueError as error:
            reader.bad("time", line, str(error))
            told.append((None, None))
    length = _length(reader, told)
    placed: dict[int, LocalInstant] = {}
    for rows in _channels(reader):
        by_order = starts_by_order([told[n] for n in rows], length, where) if where is not None else {}
        starts: dict[int, datetime] = {n: first for n in rows if (first := _start(told[n], length)) is not None}
        placed |= dict(zip(starts, _placed(list(starts.values()), where), strict=True))
        placed |= {rows[k]: LocalInstant(at) for k, at in by_order.items()}
    return [_interval(reader, n, told[n], placed.get(n), length) for n in range(len(told))]


def _start(told: _Told, length: timedelta) -> datetime | None:
    return told[1] - length if told[0] is None and told[1] is not None else told[0]


def _channels(reader: _Reader) -> list[list[int]]:
    """The positions of the rows of each meter and direction of flow, in the file's order: times repeat between them."""
    by = [reader.column("meter", METER), reader.column("unit", UNIT), reader.column("flow", FLOW)]
    found: dict[tuple[str, ...], list[int]] = {}
    for n, (_, row) in enumerate(reader.table.rows):
        found.setdefault(tuple(cells(row, by)), []).append(n)
    return list(found.values())


def _written(row: Mapping[str, str], start: str | None, end: str | None, on: str | None) -> _Told:
    """Start and end as they are written; times of day alone are of the row's date, an end at midnight of the next."""
    begins, ends, day = cells(row, (start, end, on))
    first = parse_time(f"{day} {begins}" if day and not _dated(begins) else begins) if start else None
    last = parse_time(f"{day} {ends}" if day and not _dated(ends) else ends) if end else None
    if last is not None and day and not _dated(ends) and (last <= first if first is not None else last.time() == datetime.min.time()):
        last += timedelta(days=1)
    return first, last


def _dated(text: str) -> bool:
    return "/" in text or text.count("-") >= 2


def _length(reader: _Reader, told: list[_Told]) -> timedelta:
    """Of most intervals: as told, from start to end, or from one row to the next."""
    if reader.map.interval_min:
        return timedelta(minutes=reader.map.interval_min)
    both = [e - b for b, e in told if b is not None and e is not None and b.tzinfo == e.tzinfo]
    marks = [b or e for b, e in told]
    steps = [abs(later - at) for at, later in zip(marks, marks[1:], strict=False) if at and later and at.tzinfo == later.tzinfo]
    usual = Counter(s for s in both or steps if timedelta() < s <= LONGEST).most_common(1)
    if not usual:
        raise UnreadableDocument("the length of an interval is not known: say `interval_min` in a map")
    return usual[0][0]


def _placed(starts: list[datetime], where: tzinfo | None) -> list[LocalInstant]:
    local = [s for s in starts if s.tzinfo is None]
    if local and where is None:
        raise UnreadableDocument(f'{local[0].isoformat(" ")} has no offset: say `timezone = "America/Chicago"` in a map')
    of_local = iter(to_instants(local, where) if where is not None else [])
    return [LocalInstant(utc(s)) if s.tzinfo is not None else next(of_local) for s in starts]


def _interval(reader: _Reader, n: int, told: _Told, start: LocalInstant | None, length: timedelta) -> Interval | None:
    line = reader.table.rows[n][0]
    if start is None:
        return None
    if start.at is None:
        reader.bad("daylight-saving", line, start.why)
        return None
    own = length
    first, last = told
    if first is not None and last is not None and first.tzinfo is not None and last.tzinfo is not None:
        own = utc(last) - start.at
    elif first is not None and last is not None and first.tzinfo is None and last.tzinfo is None:
        # Across a change of the clock the labels are an hour further apart, or nearer, than the interval is long.
        # Times of day alone seem to end a day later when the first pass of the repeated hour ends at its beginning.
        changed = (last - first - length) % LONGEST in (timedelta(hours=1), timedelta(hours=23))
        own = length if changed else last - first
    if not timedelta() < own <= LONGEST:
        reader.bad("time", line, f"ends {own.total_seconds() / 60:g} minutes after it starts")
        return None
    return Interval(start.at, start.at + own)


_Columns = tuple[str, str | None, list[str | None]]


def _raw(reader: _Reader, where: tuple[int, Interval], row: Mapping[str, str], columns: _Columns, lone: str | None) -> RawReading | None:
    """A row at its place. None, and a finding, when it cannot be used."""
    (line, over), (value, unit, more) = where, columns
    name, told, flag, flow = cells(row, more)
    meter = reader.map.meters.get(name) or reader.known.get(name) or (None if name else reader.map.meter or lone)
    if name and reader.map.meter:
        meter = reader.map.meter
    if meter is None:
        reader.bad("meter", line, f"{name!r} is not a meter of the site")
        return None
    kind = normalized(told) or unit
    if kind not in MWH_PER:
        reader.bad("unit", line, f"{told!r} is not a unit of energy or power")
        return None
    quality = _quality(reader, line, flag)
    if normalized(flow) not in FLOWS:
        reader.bad("flow", line, f"{flow!r} is neither delivered nor returned")
        return None
    try:
        figure = parse_number(row.get(value, ""))
    except ValueError:
        reader.bad("value", line, f"{row.get(value, '')!r} is not a number")
        return None
    if quality is None:
        return None
    return RawReading(meter, over, figure, kind, quality, line, FLOWS[normalized(flow)])


def _quality(reader: _Reader, line: int, flag: str) -> str | None:
    told = reader.map.quality.get(flag) or FLAGS.get(normalized(flag))
    if told == "bad":
        reader.bad("quality", line, f"flagged {flag!r}")
        return None
    if told is None:
        reader.findings.append(
            Finding("quality", f"row {line}: flag {flag!r} is not known: taken as estimated; say what it means in a map")
        )
    return told or ESTIMATED
