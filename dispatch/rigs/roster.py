"""Where rigs are: addresses or device names by position in their group, from a subnet or from a map of the site."""

from __future__ import annotations

import csv
import ipaddress
import itertools
from dataclasses import dataclass
from pathlib import Path

# Columns a map may have besides the one that names a rig; they must agree with the site file.
GROUP, MODEL, HALL = "group", "model", "hall"


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A rig of a map: its address or device name, its line in the file, and its other columns."""

    rig: str
    line: int
    columns: dict[str, str]


def addresses(subnet: str, n: int) -> tuple[str, ...]:
    """The first n host addresses of a subnet, in order. Raises ValueError when it is not a subnet or holds fewer."""
    network = ipaddress.IPv4Network(subnet)
    found = tuple(str(host) for host in itertools.islice(network.hosts(), n))
    if len(found) < n:
        raise ValueError(f"{subnet} has {len(found)} addresses, {n} rigs need one each")
    return found


def rows(path: Path, column: str = "ip") -> tuple[RosterRow, ...]:
    """The rigs of a map in its order: a CSV whose first line names a column "ip" (or what `column` says). Other columns are kept as they
    are. Raises OSError, or ValueError with the line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        if column not in (table.fieldnames or ()):
            raise ValueError(f'has no column "{column}" in its first line')
        found: dict[str, RosterRow] = {}
        for row in table:
            columns = {key: (text or "").strip() for key, text in row.items() if isinstance(key, str) and not isinstance(text, list)}
            rig = _address(columns[column], table.line_num) if column == "ip" else columns[column]
            if not rig:
                raise ValueError(f"line {table.line_num}: no {column}")
            if rig in found:
                raise ValueError(f"line {table.line_num}: {rig} is listed twice")
            found[rig] = RosterRow(rig, table.line_num, columns)
    return tuple(found.values())


def of_group(path: Path, group: str, column: str = "ip") -> tuple[RosterRow, ...]:
    """The rigs of one group: all of a map that has no column "group", else those whose group it is. Raises OSError or ValueError."""
    found = rows(path, column)
    return tuple(r for r in found if r.columns.get(GROUP, group) == group)


def roster(path: Path, group: str, column: str = "ip") -> tuple[str, ...]:
    """The addresses or device names of the rigs of a group, by position. Raises OSError or ValueError."""
    return tuple(row.rig for row in of_group(path, group, column))


def _address(text: str, line: int) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(f"line {line}: {text!r} is not an IPv4 address") from None
