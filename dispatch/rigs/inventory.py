"""What rigs there are: the groups of a site with the way each is reached, and the rigs that respond on a subnet."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dispatch.rigs.asics import scan
from dispatch.rigs.dialects import dialect_and_wire_model
from dispatch.rigs.driver_sections import driver_settings
from dispatch.site_file.setup import Setup


def group_rows(setup: Setup) -> list[dict[str, Any]]:
    """One row for each rig group: its hall, model, rigs, efficiency in J/TH, driver, dialect and subnet or roster file."""
    rows = []
    for group in setup.site.groups:
        driver = driver_settings(setup, group.name)
        rows.append(
            {
                "group": group.name,
                "hall": group.hall,
                "model": group.model,
                "rigs": group.rigs,
                "j_per_th": round(group.full.j_per_th, 2),
                "driver": driver.kind,
                "dialect": _dialect(group.model, getattr(driver, "dialect", None)),
                "where": getattr(driver, "subnet", None) or getattr(driver, "roster", None) or "",
            }
        )
    return rows


async def scan_rows(subnet: str) -> list[dict[str, Any]]:
    """One row for each rig that responds on a subnet: address, make, model, firmware and dialect, empty where unknown. Rigs that pyasic
    does not know are asked again through pyasic-rs, where it is installed. Raises ValueError when `subnet` is not one that
    rigs may be in."""
    rows = [asdict(found) for found in await scan(subnet)]
    try:
        from dispatch.rigs.pyasic_rs import identified
    except ImportError:
        return rows
    for row in rows:
        if not row["make"] or not row["firmware"]:
            row |= {name: text for name, text in (await identified(row["ip"])).items() if text and not row[name]}
    return rows


def _dialect(model: str, configured: str | None) -> str:
    try:
        return dialect_and_wire_model(model, configured)[0]
    except ValueError:
        return ""
