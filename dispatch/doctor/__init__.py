"""`loadstone doctor`: whether a site could run as it stands. Everything is tried once and nothing is switched, ordered or kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckResult(StrEnum):
    """Passes, works but deserves attention, or fails."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was tried, its verdict, what was found, and what to do; `action` is empty where nothing is."""

    name: str
    verdict: CheckResult
    found: str
    action: str = ""
