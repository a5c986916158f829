"""Watches a running site from the process of its API, and sends what people should know. It sees the loop stop, which the loop cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import structlog

from dispatch.alerting.conditions import AlertCondition, SiteUnknown, unreachable
from dispatch.alerting.notices import KnownCondition, after_sending, notice_due, watched_now, watched_unknown
from dispatch.alerting.send import send
from dispatch.clock import wall_now
from dispatch.decide.value_json import value_from_json, value_to_json
from dispatch.site_file.setup import Setup
from dispatch.store.durable import write_atomically

log = structlog.get_logger()

LOOK_S = 5.0
# Nobody took a message: it is tried again after so long.
RETRY_S = 60.0
FILE = "alerts-sent.json"


class AlertWatch:
    """Looks every few seconds of the wall clock; what was sent is kept in the data folder, so that a restart sends nothing twice.

    look   what is wrong now, by source; None before anything is known. Raises SiteUnknown. It runs in a thread of its own
    """

    def __init__(
        self, setup: Setup, data_dir: Path, look: Callable[[], Mapping[str, AlertCondition] | None], now: Callable[[], datetime] = wall_now
    ) -> None:
        self._setup, self._file, self._look, self._now = setup, Path(data_dir) / FILE, look, now
        self._watched: dict[str, KnownCondition] = _read(self._file)
        self._not_before: datetime | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look_once()
            except Exception as error:  # people must hear of the next thing all the same
                log.error("The site cannot be watched for alerts.", error=repr(error))
            await asyncio.sleep(LOOK_S)

    async def look_once(self) -> None:
        """Look, and send what is due."""
        at, before, settings = self._now(), self._watched, self._setup.alerts
        try:
            found = await asyncio.to_thread(self._look)
            if found is None:
                return
            watched = due = watched_now(before, found, at)
        except SiteUnknown as unknown:
            found = unreachable(str(unknown))
            watched = watched_unknown(before, found, at)
            due = {source: watched[source] for source in found}
        self._watched = watched
        notice = notice_due(due, at, at.astimezone(ZoneInfo(self._setup.site.timezone)), settings)
        if notice is not None and (self._not_before is None or at >= self._not_before):
            site = self._setup.site.name
            sent = await asyncio.to_thread(send, notice.title(site), notice.body(), settings.to, self._setup.resolve)
            if any(reason is None for reason in sent.values()):
                self._watched, self._not_before = after_sending(self._watched, notice), None
            else:
                self._not_before = at + timedelta(seconds=RETRY_S)
        if _sent_sources(self._watched) != _sent_sources(before):
            _write(self._file, self._watched)


def _sent_sources(watched: Mapping[str, KnownCondition]) -> set[str]:
    return {source for source, w in watched.items() if w.sent}


def _read(file: Path) -> dict[str, KnownCondition]:
    """What had been sent when the process before this one ended; nothing where that cannot be read."""
    try:
        return {source: value_from_json(value) for source, value in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(file: Path, watched: Mapping[str, KnownCondition]) -> None:
    document: dict[str, Any] = {source: value_to_json(w) for source, w in watched.items() if w.sent}
    write_atomically(file, json.dumps(document).encode())
