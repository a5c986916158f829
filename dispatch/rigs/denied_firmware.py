"""The firmware that should not control rigs: the dated list in `config/firmware.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class DeniedFirmware:
    """Versions of one maker's firmware that should not control rigs: patterns with * for any characters; published on `since`."""

    maker: str
    patterns: tuple[str, ...]
    reason: str
    since: date
    source: str
    verified: bool

    def matches(self, maker: str, firmware: str) -> bool:
        """Whether a version is among them."""
        return maker == self.maker and any(fnmatchcase(firmware, pattern) for pattern in self.patterns)


def read_denied_firmware(path: Path) -> tuple[DeniedFirmware, ...]:
    """The list of a file. Raises OSError, or ValueError when an entry is incomplete."""
    return tuple(_entry(row) for row in tomllib.loads(path.read_text("utf-8")).get("denied", ()))


def denial(denied: Sequence[DeniedFirmware], maker: str, firmware: str) -> DeniedFirmware | None:
    """The entry that names a version; None when there is none."""
    return next((entry for entry in denied if entry.matches(maker, firmware)), None)


def _entry(row: dict[str, Any]) -> DeniedFirmware:
    try:
        firmware, since = row["firmware"], row["since"]
        if not isinstance(since, date) or not isinstance(firmware, list):
            raise ValueError("`since` is a date and `firmware` a list")
        return DeniedFirmware(row["maker"], tuple(firmware), row["reason"], since, row["source"], bool(row["verified"]))
    except KeyError as missing:
        raise ValueError(f"an entry of denied firmware has no {missing}") from None
