"""How a statement's figures and names read to a person: the same on page, paper and in a spreadsheet."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def usd(text: str) -> str:
    """ "-1234.5" as "-1,234.50"."""
    return f"{Decimal(text):,.2f}"


def rigs(number: float) -> str:
    return f"{round(number):,}"


def words(name: str) -> str:
    """ "hashing/hash_revenue" as a person says it."""
    return name.replace("_", " ").replace("/", ": ")


SYNTHETIC = "SYNTHETIC MARKET: these prices were made up by a program. Nothing here was earned or is owed."


def flags(document: Mapping[str, Any]) -> list[str]:
    """What a reader must see before any figure."""
    out = [SYNTHETIC] if document["synthetic"] else []
    if "shadow" in document["worlds"]:
        out.append("SHADOW RUN: no rig was moved by it.")
    elif document["worlds"] and "live" not in document["worlds"]:
        out.append(f"{', '.join(document['worlds']).upper()}: no real rig was moved.")
    if document["partial"]:
        out.append("PART OF THE DAY: the site was not run for all of it.")
    return out


def heading(document: Mapping[str, Any]) -> str:
    """Whose statement, of which market, in which version, and which of the market's own it stands beside."""
    stage = f" ({document['stage']})" if document.get("stage") else ""
    return f"{document['site']} · {document['market'].upper()} · settlement, version {document['version'] or 'not kept'}{stage}"


def footing(document: Mapping[str, Any]) -> list[str]:
    """What the figures stand on: remarks, meters, sources, the journal."""
    out = list(document["notes"])
    for name, meter in document.get("meters", {}).items():
        files = ", ".join(file["name"] for file in meter["files"])
        out.append(
            f"Meter {name}: {Decimal(meter['mwh']):,.3f} MWh in {meter['intervals']} of {meter['of']} intervals, from {files}; "
            f"telemetry has {Decimal(meter['telemetry_mwh']):,.3f} there."
        )
    out += [f"{what}: {source}" for what, source in document["sources"].items()]
    return [*out, f"Journal {document['journal_head']} · prices known to {document['known_at']}"]


def span_flags(document: Mapping[str, Any]) -> list[str]:
    """The same of a roll-up of days."""
    out = [SYNTHETIC] if document["synthetic"] else []
    if document["missing"]:
        out.append(
            f"{len(document['missing'])} DAYS ARE MISSING: {', '.join(document['missing'])} were not settled and are not in the sums."
        )
    if document["partial"]:
        out.append(f"PARTS OF DAYS: the site was not run for all of {', '.join(document['partial'])}.")
    return out
