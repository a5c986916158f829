"""CSV tables with a header, as meters, markets and suppliers send them, and the numbers, dates and times in their cells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dispatch.imports import UnreadableDocument

LARGEST, YEARS = Decimal("1e15"), range(1990, 2200)
_DATES = (re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"), re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})"))
_TIME = re.compile(r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:\.0+)?)?\s*(?P<half>[AaPp][Mm])?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")


@dataclass(frozen=True, slots=True)
class CsvTable:
    """Rows by column name, each with its line in the file; `columns` as the header spells them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]

    def find(self, *names: str) -> str | None:
        """The column with one of these names, whatever its spaces, case and underscores; None when there is none."""
        known = {normalized(c): c for c in self.columns}
        return next((known[normalized(n)] for n in names if normalized(n) in known), None)


def normalized(name: str) -> str:
    """A name in small letters and digits only, to compare names that are spelled in different ways."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def read_table(content: bytes) -> CsvTable:
    """A CSV file with a header. Raises UnreadableDocument."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if "\0" in text:
        raise UnreadableDocument("is not text: a CSV file is expected")
    first = text.lstrip().split("\n", 1)[0]
    mark = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=mark)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableDocument(f"line {reader.line_num}: {error}") from None
    if not rows:
        raise UnreadableDocument("is empty")
    header = tuple(rows[0][1])
    if twice := sorted({c for c in header if c and header.count(c) > 1}):
        raise UnreadableDocument(f"column {twice[0]!r} is in the header twice")
    return CsvTable(header, tuple((line, dict(zip_longest(header, row[: len(header)], fillvalue=""))) for line, row in rows[1:]))


def parse_number(text: str) -> Decimal:
    """A decimal as statements print it: with thousands separators, a dollar sign, a negative in parentheses or with a trailing minus.
    Raises ValueError."""
    bare = text.strip().replace("$", "").replace(",", "").replace(" ", "")
    negative = bare.startswith("(") and bare.endswith(")") or bare.endswith("-")
    bare = bare.strip("()").rstrip("-")
    try:
        value = Decimal(bare)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not value.is_finite() or abs(value) >= LARGEST:
        raise ValueError(f"{text[:40]!r} is not a number" if not value.is_finite() else f"{text[:40]!r} is larger than 1e15")
    return -value if negative else value


def parse_day(text: str) -> date:
    """The date of 2026-08-20 or 08/20/2026; a time behind it is ignored. Raises ValueError."""
    for pattern in _DATES:
        if found := pattern.match(text.strip()):
            return _supported(date(int(found["y"]), int(found["m"]), int(found["d"])))
    raise ValueError(f"{text!r} is not a date such as 2026-08-20 or 08/20/2026")


def _supported(on: date) -> date:
    """The day, if it is within YEARS. Raises ValueError."""
    if on.year not in YEARS:
        raise ValueError(f"{on.isoformat()} is outside the supported dates")
    return on


def parse_zone(name: str) -> tzinfo:
    """The time zone of a name, or of a fixed offset such as -05:00. Raises ValueError."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    if found := _OFFSET.fullmatch(name):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(ahead if found[1] == "+" else -ahead)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is neither a time zone such as America/Chicago nor an offset such as -05:00") from None


def parse_time(text: str) -> datetime:
    """A time with its offset where it has one, else naive; 24:00 is the next midnight. Raises ValueError."""
    text = text.strip()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        on = parse_day(text)
    else:
        _supported(at.date())
        return at
    rest = re.sub(r"^[\d/-]+[T ]*", "", text)
    found = _TIME.fullmatch(rest)
    if rest and not found:
        raise ValueError(f"{text!r} is not a time such as 2026-08-20T16:00:00Z")
    hour, minute = (int(found["h"]), int(found["min"])) if found else (0, 0)
    if found and found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise ValueError(f"{text!r} is not a time of day")
    return datetime(on.year, on.month, on.day) + timedelta(hours=hour, minutes=minute)


@dataclass(frozen=True, slots=True)
class LocalInstant:
    """The instant of a local time, or the reason why it has none."""

    at: datetime | None
    why: str = ""


def to_instants(local: Sequence[datetime], where: tzinfo) -> list[LocalInstant]:
    """Local times, in a file's order, as instants. Of a time that the clock passes twice in the autumn, the first row is the first pass and
    the second row the second; a single row could be either, and a time that the clock skips in the spring does not exist."""
    counts: dict[datetime, int] = {}
    for at in local:
        counts[at] = counts.get(at, 0) + 1
    met: dict[datetime, int] = {}
    out = []
    for at in local:
        first, second = (at.replace(tzinfo=where, fold=fold) for fold in (0, 1))
        met[at] = met.get(at, 0) + 1
        if first.utcoffset() == second.utcoffset():
            out.append(LocalInstant(first.astimezone(UTC)))
        elif first.astimezone(UTC).astimezone(where).replace(tzinfo=None) != at:
            out.append(LocalInstant(None, f"{at:%Y-%m-%d %H:%M} does not exist: the clock skips it"))
        elif counts[at] == 1:
            out.append(LocalInstant(None, f"{at:%Y-%m-%d %H:%M} occurs twice that day and is in the file once: it could be either"))
        else:
            out.append(LocalInstant((first if met[at] == 1 else second).astimezone(UTC)))
    return out


def cells(row: Mapping[str, str], columns: Iterable[str | None]) -> list[str]:
    """The row's text in some columns, empty where there is none."""
    return [row.get(c, "") if c else "" for c in columns]
