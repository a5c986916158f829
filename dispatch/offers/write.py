"""Offers as files: one JSON document, and CSV with one row for each step."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from dispatch.offers.document import OfferedHour, OffersDocument

HOURLY = (
    "operating_day", "hour_ending", "repeated_hour", "start_utc", "end_utc", "resource", "product", "step", "mw", "price", "unit", "basis",
)  # fmt: skip
SEASONAL = (
    "contract", "product", "begins", "ends", "period", "hours", "mw", "registered_mw", "stays_mw", "price", "unit", "response_s", "basis",
    "most",
)  # fmt: skip


def hourly_csv(document: OffersDocument) -> str:
    """Reserve offers and energy bids: MW from nothing up to the end of each step, and its price."""
    rows: list[tuple[object, ...]] = []
    day = document["operating_day"]
    for offer in document["reserve"]:
        rows += [(day, *row, "usd_per_mw_h", offer["basis"]) for row in _rows(offer["contract"], offer["product"], offer["hours"])]
    for bid in document["energy"]:
        rows += [(day, *row, "usd_per_mwh", "") for row in _rows(bid["meter"], "ENERGY", bid["hours"])]
    return _csv(HOURLY, rows)


def season_csv(document: OffersDocument) -> str:
    """Season quantities, one row for each time period."""
    return _csv(SEASONAL, (tuple("" if row[key] is None else row[key] for key in SEASONAL) for row in document["seasons"]))  # type: ignore[literal-required]


def write_offers(document: OffersDocument, folder: Path) -> list[Path]:
    """The files in a folder, which is made where it is missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    day = document["operating_day"]
    texts = {
        f"offers-{day}.json": json.dumps(document, ensure_ascii=False, indent=1) + "\n",
        f"offers-{day}.csv": hourly_csv(document),
        f"season-{day}.csv": season_csv(document),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]


def _rows(resource: str, product: str, hours: Iterable[OfferedHour]) -> Iterable[tuple[object, ...]]:
    for hour in hours:
        for step, at in enumerate(hour["steps"], start=1):
            repeated = "Y" if hour["repeated_hour"] else "N"
            yield hour["hour_ending"], repeated, hour["start"], hour["end"], resource, product, step, at["mw"], at["usd"]


def _csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
