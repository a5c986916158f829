"""Where rigs are: addresses by position in their group."""

from __future__ import annotations

import csv
import ipaddress
import itertools
from pathlib import Path


def addresses(subnet: str, n: int) -> tuple[str, ...]:
    """The first n host addresses of a subnet, in order. Raises ValueError when it is no subnet or holds fewer."""
    network = ipaddress.IPv4Network(subnet)
    found = tuple(str(host) for host in itertools.islice(network.hosts(), n))
    if len(found) < n:
        raise ValueError(f"{subnet} has {len(found)} addresses, {n} rigs need one each")
    return found


def roster(path: Path) -> tuple[str, ...]:
    """The column "ip" of a CSV file, in order. Raises ValueError with the line of a fault, OSError when it cannot be read."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "ip" not in (rows.fieldnames or ()):
            raise ValueError(f"{path}: needs a column ip")
        found: list[str] = []
        for line, row in enumerate(rows, start=2):
            try:
                found.append(str(ipaddress.ip_address((row["ip"] or "").strip())))
            except ValueError as error:
                raise ValueError(f"{path}: line {line}: {error}") from None
    if len(set(found)) < len(found):
        raise ValueError(f"{path}: {next(ip for ip in found if found.count(ip) > 1)} stands there twice")
    return tuple(found)
