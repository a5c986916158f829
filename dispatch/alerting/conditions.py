"""What is wrong with a site now, by its source, from the document of `GET /api/v1/state`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dispatch.decide.state import CONTRACT_ALERT, SHORTFALL_ALERT

# Parts of the site's health without which nothing is decided, kept or moved.
VITAL = ("ledger", "leader", "loop")


@dataclass(frozen=True, slots=True)
class AlertCondition:
    """A sentence on what is wrong. An urgent one is sent in quiet hours too: a promise is missed, a contract
    fails, or the site is not in command."""

    text: str
    urgent: bool = False


def conditions(state: Mapping[str, Any]) -> dict[str, AlertCondition]:
    """By source, what is wrong: missed promises, contracts that fail, feeds, rigs, meters and links that do not respond, refused forecasts;
    and parts of the service that are not ok. Feeds stand among the alerts, so the health of prices is not repeated."""
    found = {a["source"]: AlertCondition(a["message"], a["source"].startswith((SHORTFALL_ALERT, CONTRACT_ALERT))) for a in state["alerts"]}
    health = state["health"]
    found |= {part: AlertCondition(health[part], urgent=True) for part in VITAL if health[part] != "ok"}
    if health["plan"] != "ok":
        found["plan"] = AlertCondition(health["plan"])
    return found


class SiteUnknown(Exception):
    """The state of the site cannot be read; says why."""


def unreachable(reason: str) -> dict[str, AlertCondition]:
    """What is wrong where there is no state: the journal cannot be read."""
    return {"ledger": AlertCondition(reason, urgent=True)}
