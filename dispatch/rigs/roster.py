"""Where rigs are and how to get in: addresses by position in their group, secrets by reference."""

from __future__ import annotations

import csv
import ipaddress
import itertools
import os
from collections.abc import Callable
from pathlib import Path


def addresses(subnet: str, n: int) -> tuple[str, ...]:
    """The first n host addresses of a subnet, in order. Raises ValueError when it is no subnet or holds fewer."""
    network = ipaddress.IPv4Network(subnet)
    found = tuple(str(host) for host in itertools.islice(network.hosts(), n))
    if len(found) < n:
        raise ValueError(f"{subnet} has {len(found)} addresses, {n} rigs need one each")
    return found


def roster(path: Path) -> tuple[str, ...]:
    """The addresses of a roster in its order: a CSV with a column "ip". Raises OSError, or ValueError with the line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if "ip" not in (rows.fieldnames or ()):
            raise ValueError('has no column "ip" in its first line')
        found: dict[str, None] = {}
        for row in rows:
            text = (row["ip"] or "").strip()
            try:
                ip = str(ipaddress.IPv4Address(text))
            except ValueError:
                raise ValueError(f"line {rows.line_num}: {text!r} is not an IPv4 address") from None
            if ip in found:
                raise ValueError(f"line {rows.line_num}: {ip} stands there twice")
            found[ip] = None
    return tuple(found)


def secret(reference: str, resolve: Callable[[str], Path]) -> str:
    """What a reference stands for: `env:NAME` or `file:PATH`. Raises KeyError, OSError or ValueError, none of which says the secret."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return os.environ[rest]
    if kind == "file":
        return resolve(rest).read_text("utf-8").strip()
    raise ValueError("credentials must be env:NAME or file:PATH")
