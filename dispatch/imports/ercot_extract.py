"""ERCOT's settlement extracts (Settlements.xsd): a header and an interval table, as XML, or as CSV files in a zip.

A header row names the bill determinant, an interval row carries one operating day of it in INT001 to INT100 (to INT300 in five minutes).
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element

from dispatch.imports import UnreadableDocument
from dispatch.imports.csv_table import parse_day, parse_number, read_table
from dispatch.imports.ercot_xml import operating_day_grid
from dispatch.imports.safe_xml import is_xml, local_name, parse_xml
from dispatch.imports.statement import Determinant, ReceivedCharge, ReceivedStatement, StatementMap
from markets.grid import Interval
from optimizer.domain.money import ZERO, Finding
from optimizer.settlement.reconcile import tolerance

Row = tuple[str, Mapping[str, str]]  # where, and the cells by column name
HEADER, INTERVAL = re.compile(r"[A-Z]+(OUT|IN)PUTHEADER(_5MIN)?$"), re.compile(r"[A-Z]+(OUT|IN)PUTINTERVAL(_5MIN)?$")
BYTES_AT_MOST = 256 * 2**20
FILES_AT_MOST = 50


def is_extract(root: Element) -> bool:
    return any(HEADER.match(local_name(e)) or INTERVAL.match(local_name(e)) for e in root.iter())


def read_extract(files: Mapping[str, bytes], how: StatementMap) -> ReceivedStatement:
    """The tables of one or more files, XML or CSV. Raises UnreadableDocument when there is no interval of any determinant."""
    headers: dict[str, Mapping[str, str]] = {}
    intervals: list[Row] = []
    for name, content in files.items():
        for where, row in _rows(name, content):
            uid = next((row[c] for c in row if re.fullmatch(r"UID[A-Z]+HEADER(_5MIN)?", c)), "")
            if "STARTTIME" in row:
                intervals.append((where, {**row, "UIDHEADER": uid}))
            elif uid:
                headers[uid] = row
    findings: list[Finding] = []
    charges: dict[str, ReceivedCharge] = {}
    determinants: list[Determinant] = []
    days: list[date] = []
    for where, row in intervals:
        code, point = _named(headers.get(row["UIDHEADER"]), how)
        if not code:
            findings.append(Finding("unknown-charge", f"{where}: {_why_unnamed(headers.get(row['UIDHEADER'], {}))}: not compared"))
            continue
        read = _values(where, row, findings)
        if read is None:
            continue
        on, values, total = read
        days.append(on)
        if "AMT" in code:
            _add(charges, ReceivedCharge(code, code, -total, on, on, where, {k: -v for k, v in values.items()}))
        else:
            determinants.append(Determinant(code, point, values))
    if not days:
        raise UnreadableDocument("\n".join(f.text for f in findings) or "has no interval of any bill determinant")
    version = next((h.get("SAVECHANNEL", "") for h in headers.values()), "")
    return ReceivedStatement(
        "ercot extract", min(days), max(days), tuple(charges.values()), tuple(findings), tuple(determinants), version=version
    )


def _why_unnamed(header: Mapping[str, str]) -> str:
    number = header.get("UIDBILLDETERMINANT", "")
    if not number:
        return "its header is missing"
    return f'bill determinant {number} has no name: say `determinants = {{ {number} = "NAME" }}` in a map'


def unzipped(content: bytes) -> dict[str, bytes]:
    """The files of a zip. Raises UnreadableDocument when it is broken, or grows beyond what an extract can be."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = [i for i in archive.infolist() if not i.is_dir()]
            if len(inside) > FILES_AT_MOST or sum(i.file_size for i in inside) > BYTES_AT_MOST:
                raise UnreadableDocument(f"holds more than {FILES_AT_MOST} files or {BYTES_AT_MOST // 2**20} MiB")
            return {i.filename: archive.read(i) for i in inside}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise UnreadableDocument(f"is a broken zip: {error}") from None


def _rows(name: str, content: bytes) -> Iterator[Row]:
    if is_xml(content):
        for n, element in enumerate(
            (e for e in parse_xml(content).iter() if HEADER.match(local_name(e)) or INTERVAL.match(local_name(e))), 1
        ):
            yield f"{name}: {local_name(element)} {element.get('num', n)}", {local_name(c).upper(): (c.text or "").strip() for c in element}
        return
    for line, row in read_table(content).rows:
        yield f"{name}: row {line}", {column.upper(): cell for column, cell in row.items()}


def _named(header: Mapping[str, str] | None, how: StatementMap) -> tuple[str, str]:
    """Bill determinant and settlement point of a header, by the map, by its own words, or by its recorder's."""
    if header is None:
        return "", ""
    uid, recorder = header.get("UIDBILLDETERMINANT", ""), header.get("SAVERECORDER", "")
    worded = uid if uid and not uid.replace(".", "").isdecimal() else ""
    said = re.match(r"[A-Z][A-Z0-9]*", recorder.upper())
    point = header.get("UIDSETLPOINT", "")
    return how.determinants.get(uid) or worded or (said[0] if said else ""), how.points.get(point, point)


def _values(where: str, row: Mapping[str, str], findings: list[Finding]) -> tuple[date, dict[Interval, Decimal], Decimal] | None:
    """Day, figures by interval and their total as the row has them."""
    try:
        on, count = parse_day(row["STARTTIME"]), int(parse_number(row.get("INTERVALCOUNT", "")))
        over = operating_day_grid(on, count)
        if over is None:
            raise ValueError(f"{count} intervals do not make up operating day {on.isoformat()}")
        cells = [row.get(f"INT{n:03d}", "") for n in range(1, count + 1)]
        values = {i: parse_number(cell) for i, cell in zip(over.intervals, cells, strict=True) if cell}
        total = parse_number(row["TOTAL"]) if row.get("TOTAL") else sum(values.values(), ZERO)
    except ValueError as error:
        findings.append(Finding("value", f"{where}: {error}: not compared"))
        return None
    if len(values) < count:
        findings.append(Finding("missing", f"{where}: {count - len(values)} of {count} intervals are empty"))
    elif abs(sum(values.values(), ZERO) - total) > tolerance(total) + Decimal("0.005") * count:
        findings.append(Finding("does-not-foot", f"{where}: its intervals add up to {sum(values.values(), ZERO)}, TOTAL is {total}"))
    return on, values, total


def _add(charges: dict[str, ReceivedCharge], new: ReceivedCharge) -> None:
    """Rows of one determinant (of several points or resources) are one charge."""
    before = charges.get(new.code)
    if before is None:
        charges[new.code] = new
        return
    both = {i: before.by_interval.get(i, ZERO) + new.by_interval.get(i, ZERO) for i in {**before.by_interval, **new.by_interval}}
    first, last = min(before.first, new.first), max(before.last, new.last)
    charges[new.code] = ReceivedCharge(new.code, new.name, before.amount_usd + new.amount_usd, first, last, before.where, both)
