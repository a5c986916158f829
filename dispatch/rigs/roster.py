"""Where rigs are: addresses or device names by position in their group, from a subnet or from a map of the site."""

from __future__ import annotations

import csv
import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from dispatch.site_file.field_types import rig_network

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


class InvalidRoster(ValueError):
    """Everything that is wrong in a map, one sentence each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))


def rows(path: Path, column: str = "ip") -> tuple[RosterRow, ...]:
    """The rigs of a map in its order: a CSV, separated by commas, semicolons or tabs, whose first line names a column "ip" (or what
    `column` says), in capitals or not. Other columns are kept as they are. Raises OSError, or InvalidRoster with the lines."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            return _read(file, column)
        except UnicodeDecodeError:
            raise InvalidRoster(["is not UTF-8 text"]) from None


def _read(file: TextIO, column: str) -> tuple[RosterRow, ...]:
    first = file.readline()
    separator = max(",;\t", key=first.count)
    names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
    if column not in names:
        raise InvalidRoster([f'has no column "{column}" in its first line'])
    found: dict[str, RosterRow] = {}
    faults = []
    for line, cells in enumerate(csv.reader(file, delimiter=separator), 2):
        if not any(cell.strip() for cell in cells):
            continue
        columns = {name: cell.strip() for name, cell in itertools.zip_longest(names, cells[: len(names)], fillvalue="")}
        rig, fault = columns[column], ""
        if not rig:
            fault = f"no {column}"
        elif column == "ip":
            fault = _address_fault(rig)
        if rig in found:
            fault = f"{rig} is listed twice: line {found[rig].line} has it too"
        if fault:
            faults.append(f"line {line}: {fault}")
        else:
            found[rig] = RosterRow(rig, line, columns)
    if faults:
        raise InvalidRoster(faults)
    return tuple(found.values())


def of_group(path: Path, group: str, column: str = "ip") -> tuple[RosterRow, ...]:
    """The rigs of one group: all of a map that has no column "group", else those whose group it is. Raises OSError or InvalidRoster."""
    found = rows(path, column)
    return tuple(r for r in found if r.columns.get(GROUP, group) == group)


def roster(path: Path, group: str, column: str = "ip") -> tuple[str, ...]:
    """The addresses or device names of the rigs of a group, by position. Raises OSError or InvalidRoster."""
    return tuple(row.rig for row in of_group(path, group, column))


def _address_fault(text: str) -> str:
    """What is wrong with the address of a rig; empty when nothing is."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return f"{text!r} is not an IPv4 address"
    try:
        rig_network(f"{text}/32")
    except ValueError as error:
        return str(error).replace("/32", "", 1)
    return ""
