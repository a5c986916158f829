"""The exposure report: how much of a site's load one maker's firmware could drop at once, by what the rigs themselves report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dispatch.rigs.denied_firmware import DeniedFirmware, denial
from dispatch.rigs.rig_identities import KnownRig
from markets.grid import format_instant
from optimizer.domain.site import UNKNOWN_MAKER, Site

NOT_READ = ""


def exposure_document(
    site: Site, known: Mapping[tuple[str, int], KnownRig], denied: Sequence[DeniedFirmware], at: datetime
) -> dict[str, Any]:
    """The site's rigs by maker and firmware version: rigs, MW at full draw and share of the site. The maker and the place of assembly are
    the site file's; the firmware, serial and MAC come from the rigs. `firmware` is null for rigs that were not identified.
    """
    rigs: dict[tuple[str, str], int] = defaultdict(int)
    full_mw: dict[tuple[str, str], float] = defaultdict(float)
    serials = macs = 0
    for group in site.groups:
        for rig in range(group.rigs):
            found = known.get((group.name, rig))
            key = (group.maker or UNKNOWN_MAKER, found.identity.firmware if found else NOT_READ)
            rigs[key] += 1
            full_mw[key] += group.full.watts / 1e6
            serials += bool(found and found.identity.serial)
            macs += bool(found and found.identity.mac)
    total_mw = sum(full_mw.values())
    return {
        "at": format_instant(at),
        "site": site.name,
        "signed": False,
        "rigs": sum(rigs.values()),
        "identified": sum(n for (_, firmware), n in rigs.items() if firmware != NOT_READ),
        "with_serial": serials,
        "with_mac": macs,
        "full_mw": round(total_mw, 6),
        "largest_maker_mw": round(max((sum(mw for (m, _), mw in full_mw.items() if m == maker) for maker, _ in full_mw), default=0.0), 6),
        "firmware": [_row(denied, key, rigs[key], mw, total_mw) for key, mw in sorted(full_mw.items(), key=lambda item: -item[1])],
        "assembly": {group.name: group.assembly or None for group in site.groups},
    }


def _row(denied: Sequence[DeniedFirmware], key: tuple[str, str], rigs: int, full_mw: float, total_mw: float) -> dict[str, Any]:
    maker, firmware = key
    entry = denial(denied, maker, firmware)
    return {
        "maker": maker,
        "firmware": firmware or None,
        "rigs": rigs,
        "full_mw": round(full_mw, 6),
        "share": round(full_mw / total_mw, 4) if total_mw else 0.0,
        "denied": f"{entry.reason} (published {entry.since})" if entry else None,
    }
