"""The hall of a rig by its address: from a subnet for each hall, or from a table of addresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path

from dispatch.rigs import roster
from dispatch.site_file.field_types import rig_network

HallOf = Callable[[str], str]
ONLY_HALL = "a"


def halls_by_subnet(given: Sequence[str]) -> HallOf:
    """Halls from texts such as "a=10.20.0.0/22": empty for an address in none of them; hall "a" for every rig where none is given. Raises
    ValueError."""
    networks: dict[str, ipaddress.IPv4Network] = {}
    for text in given:
        name, _, subnet = text.partition("=")
        if not name or not subnet:
            raise ValueError(f"{text!r} is not NAME=SUBNET such as a=10.20.0.0/22")
        networks[name] = rig_network(subnet)
    if not networks:
        return lambda ip: ONLY_HALL
    return lambda ip: next((name for name, network in networks.items() if ipaddress.IPv4Address(ip) in network), "")


def halls_by_map(file: Path) -> HallOf:
    """Halls from a CSV with the columns ip and hall: empty for an address that it lacks. Raises ValueError, OSError."""
    halls = {row.rig: row.columns.get(roster.HALL, "") for row in roster.rows(file)}
    return lambda ip: halls.get(ip, "")
