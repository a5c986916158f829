"""What the rigs of a site say they are, kept with its history: one JSON line for each rig that was identified first or has changed.

Firmware can stop every rig it controls at once. A change of firmware on more than a few rigs of one maker within a day is therefore an
alert, as is a version on the list of denied firmware.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from math import isfinite
from pathlib import Path

import structlog

from dispatch.clock import Clock
from dispatch.rigs import Driver, Identifies
from dispatch.rigs.denied_firmware import DeniedFirmware
from dispatch.rigs.wire.identity import RigIdentity
from markets import counted
from markets.grid import format_instant, parse_instant
from optimizer.domain.site import UNKNOWN_MAKER, Site

log = structlog.get_logger()

FILE = "rig-identities.jsonl"
# The sources that alerts about identities are listed under.
CHANGED, DENIED = "firmware changes", "denied firmware"
EVERY = timedelta(hours=1)
ANSWER_WALL_S = 5.0
LEAST_WALL_S = 60.0
# Changes of one maker's firmware within CHANGED_WITHIN are an alert when there are more of them.
FEW_RIGS = 3
CHANGED_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class KnownRig:
    """A rig as last identified. `since` is when this was first read; `before` its firmware until then, empty for a first identification."""

    identity: RigIdentity
    since: datetime
    before: str = ""


class RigIdentities:
    """The identities of a site's rigs, by group and position. `path` keeps them; without one they are forgotten at the end."""

    def __init__(
        self, site: Site, drivers: Mapping[str, Driver], clock: Clock, denied: Sequence[DeniedFirmware] = (), path: Path | None = None
    ) -> None:
        self._site, self._drivers, self._clock, self._denied, self._path = site, drivers, clock, denied, path
        self._known: dict[tuple[str, int], KnownRig] = dict(kept_identities(path)) if path is not None else {}

    @property
    def known(self) -> Mapping[tuple[str, int], KnownRig]:
        """Every rig that was identified."""
        return self._known

    async def follow(self) -> None:
        """Identify every rig now and each hour of the world's clock, for ever; where that runs fast, each minute of wall time at most."""
        while True:
            began = self._clock.now()
            try:
                await self.refresh()
            except OSError as error:
                log.error("what the rigs say they are cannot be kept", error=str(error))
            speed = self._clock.speed
            least = timedelta(seconds=LEAST_WALL_S * speed) if isfinite(speed) else EVERY
            await self._clock.sleep_until(began + max(EVERY, least))

    async def refresh(self) -> None:
        """Identify every rig whose driver can, and keep what is new."""
        await asyncio.gather(*(self._refresh(name, driver) for name, driver in self._drivers.items() if isinstance(driver, Identifies)))

    async def _refresh(self, group: str, driver: Identifies) -> None:
        found = await driver.identify(range(self._site.group(group).rigs), ANSWER_WALL_S)
        now = self._clock.now()
        rows = []
        for rig, identity in sorted(found.items()):
            last = self._known.get((group, rig))
            if last is not None and last.identity == identity:
                continue
            # Another rig at the same address is no change of firmware.
            same_rig = last is not None and last.identity.mac == identity.mac
            before = last.identity.firmware if last and same_rig and last.identity.firmware != identity.firmware else ""
            self._known[group, rig] = KnownRig(identity, now, before)
            rows.append({"at": format_instant(now), "group": group, "rig": rig, **asdict(identity), "before": before})
        if rows and self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)

    def asked(self) -> tuple[str, ...]:
        """The sources that `alerts` may list."""
        return (CHANGED, DENIED)

    def alerts(self, at: datetime) -> dict[str, str]:
        """Sentences on changed and on denied firmware, by source."""
        changed, denied = [], []
        for maker, rigs in sorted(self._by_maker().items()):
            moved = [rig for rig in rigs if rig.before and timedelta(0) <= at - rig.since < CHANGED_WITHIN]
            if len(moved) > FEW_RIGS:
                to = sorted({rig.identity.firmware for rig in moved})
                changed.append(f"the firmware of {counted(len(moved), 'rig')} of {maker} changed within 24 h, to {', '.join(to[:3])}")
            for entry in self._denied:
                if n := sum(entry.matches(maker, rig.identity.firmware) for rig in rigs):
                    denied.append(
                        f"{counted(n, 'rig')} of {maker} with firmware that {entry.reason} (published {entry.since}; {entry.source})"
                    )
        return {source: "; ".join(texts) for source, texts in ((CHANGED, changed), (DENIED, denied)) if texts}

    def _by_maker(self) -> Mapping[str, list[KnownRig]]:
        makers = {g.name: g.maker or UNKNOWN_MAKER for g in self._site.groups}
        found: dict[str, list[KnownRig]] = defaultdict(list)
        for (group, _), rig in self._known.items():
            if group in makers:
                found[makers[group]].append(rig)
        return found


def kept_identities(path: Path) -> Iterator[tuple[tuple[str, int], KnownRig]]:
    """The rigs of a file in the order in which they were identified; none without the file. A line that a kill left incomplete is left
    out."""
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines():
        try:
            row = json.loads(line)
            identity = RigIdentity(row["firmware"], row["model"], row["serial"], row["mac"])
            yield (row["group"], int(row["rig"])), KnownRig(identity, parse_instant(row["at"]), row["before"])
        except (ValueError, KeyError, TypeError):
            log.warning("a line of the rigs' identities cannot be read", file=path.name)
