"""Where rigs are and how to get in: addresses by position in their group, secrets by reference, names on the wire."""

from __future__ import annotations

import csv
import ipaddress
import itertools
import os
from collections.abc import Callable
from pathlib import Path

from dispatch import catalogue
from dispatch.config import default_file


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


def secret(reference: str, resolve: Callable[[str], Path]) -> str:
    """What a reference stands for: `env:NAME` or `file:PATH`. Raises KeyError, OSError or ValueError, none of which says the secret."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        return os.environ[rest]
    if kind == "file":
        return resolve(rest).read_text("utf-8").strip()
    raise ValueError("credentials must be env:NAME or file:PATH")


def wire_model(model: str) -> str:
    """What rigs of a model call themselves on the wire. Raises ValueError for a make this version cannot talk to."""
    known = catalogue.read(default_file("rigs.toml")).models.get(model)
    if known is None or known.wire_model is None:
        raise ValueError(f"{model!r}: of the makes, this version talks to Whatsminers only")
    return known.wire_model
