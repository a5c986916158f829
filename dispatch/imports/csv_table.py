"""Tables as people send them: CSV with a header, decimals, times with and without an offset."""

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

from dispatch.imports import Unreadable

LARGEST, YEARS = Decimal("1e15"), range(1990, 2200)
_DATES = (re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"), re.compile(r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})"))
_TIME = re.compile(r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:\.0+)?)?\s*(?P<half>[AaPp][Mm])?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")


@dataclass(frozen=True, slots=True)
class CsvTable:
    """Rows by column name, each with its line in the file; `columns` as they are written."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, Mapping[str, str]], ...]

    def find(self, *names: str) -> str | None:
        """The column of one of these names, spelled with or without spaces, case and underscores."""
        known = {plain(c): c for c in self.columns}
        return next((known[plain(n)] for n in names if plain(n) in known), None)


def plain(name: str) -> str:
    """A name without spaces, case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def table(content: bytes) -> CsvTable:
    """A CSV file with a header. Raises Unreadable."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    if "\0" in text:
        raise Unreadable("is no text: a CSV file is expected")
    first = text.lstrip().split("\n", 1)[0]
    mark = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=mark)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Unreadable(f"line {reader.line_num}: {error}") from None
    if not rows:
        raise Unreadable("is empty")
    header = tuple(rows[0][1])
    if twice := sorted({c for c in header if c and header.count(c) > 1}):
        raise Unreadable(f"column {twice[0]!r} stands in the header twice")
    return CsvTable(header, tuple((line, dict(zip_longest(header, row[: len(header)], fillvalue=""))) for line, row in rows[1:]))


def number(text: str) -> Decimal:
    """A decimal as people write it: thousands, a dollar sign, a negative in parentheses or with a trailing minus. Raises ValueError."""
    bare = text.strip().replace("$", "").replace(",", "").replace(" ", "")
    negative = bare.startswith("(") and bare.endswith(")") or bare.endswith("-")
    bare = bare.strip("()").rstrip("-")
    try:
        value = Decimal(bare)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no number") from None
    if not value.is_finite() or abs(value) >= LARGEST:
        raise ValueError(f"{text[:40]!r} is no number" if not value.is_finite() else f"{text[:40]!r} is larger than anything billed")
    return -value if negative else value


def day(text: str) -> date:
    """2026-08-20 or 08/20/2026, whatever time follows. Raises ValueError."""
    for pattern in _DATES:
        if found := pattern.match(text.strip()):
            return _billed(date(int(found["y"]), int(found["m"]), int(found["d"])))
    raise ValueError(f"{text!r} is no date such as 2026-08-20 or 08/20/2026")


def _billed(on: date) -> date:
    """The day, if it is one that anybody bills. Raises ValueError."""
    if on.year not in YEARS:
        raise ValueError(f"{on.isoformat()} is no day that anybody bills")
    return on


def zone(name: str) -> tzinfo:
    """A time zone's name, or a fixed offset such as -05:00. Raises ValueError."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    if found := _OFFSET.fullmatch(name):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(ahead if found[1] == "+" else -ahead)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{name!r} is neither a time zone such as America/Chicago nor an offset such as -05:00") from None


def moment(text: str) -> datetime:
    """A time as it is written, with its offset where it has one; 24:00 is the next midnight. Raises ValueError."""
    text = text.strip()
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        on = day(text)
    else:
        _billed(at.date())
        return at
    rest = re.sub(r"^[\d/-]+[T ]*", "", text)
    found = _TIME.fullmatch(rest)
    if rest and not found:
        raise ValueError(f"{text!r} is no time such as 2026-08-20T16:00:00Z")
    hour, minute = (int(found["h"]), int(found["min"])) if found else (0, 0)
    if found and found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    if hour > 24 or minute > 59 or (hour == 24 and minute):
        raise ValueError(f"{text!r} is no time of a day")
    return datetime(on.year, on.month, on.day) + timedelta(hours=hour, minutes=minute)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a local time falls: an instant, or the words why none can be told."""

    at: datetime | None
    why: str = ""


def place(local: Sequence[datetime], where: tzinfo) -> list[Placed]:
    """Local times in a file's order as instants. A time that comes twice in the autumn is its first pass where it stands first and its
    second where it stands again; one that stands once could be either, and one that the spring skips never was."""
    counts: dict[datetime, int] = {}
    for at in local:
        counts[at] = counts.get(at, 0) + 1
    met: dict[datetime, int] = {}
    out = []
    for at in local:
        first, second = (at.replace(tzinfo=where, fold=fold) for fold in (0, 1))
        met[at] = met.get(at, 0) + 1
        if first.utcoffset() == second.utcoffset():
            out.append(Placed(first.astimezone(UTC)))
        elif first.astimezone(UTC).astimezone(where).replace(tzinfo=None) != at:
            out.append(Placed(None, f"{at:%Y-%m-%d %H:%M} never was: the clock skips it"))
        elif counts[at] == 1:
            out.append(Placed(None, f"{at:%Y-%m-%d %H:%M} comes twice that day and stands here once: it could be either"))
        else:
            out.append(Placed((first if met[at] == 1 else second).astimezone(UTC)))
    return out


def cells(row: Mapping[str, str], columns: Iterable[str | None]) -> list[str]:
    """The row's text in some columns, empty where there is none."""
    return [row.get(c, "") if c else "" for c in columns]
