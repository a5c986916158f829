"""The site as one link reaches it: its calls go into the inbox like all others; its silence is an alarm and never an event."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import structlog

from dispatch.clock import Clock
from dispatch.signals.acceptance import accept
from dispatch.signals.documents import InvalidDocument
from dispatch.signals.links.link import Answer, Document, SiteTelemetry
from dispatch.signals.links.link_sections import LinkSettings
from dispatch.site_file.setup import Setup
from dispatch.store import LedgerUnavailable
from dispatch.store.inbox import IdempotencyConflict, Inbox
from markets.grid import format_instant, parse_instant
from optimizer.domain.site import SLEEP, SafeState

log = structlog.get_logger()

# A set point is of new content when it differs by more than the last digit that a float32 of MW carries.
SAME_MW = 1e-6


class LinkedSite:
    """What one link of a site may do, and when its counterparty was last heard. `telemetry` gives the newest of its contract."""

    def __init__(
        self, settings: LinkSettings, setup: Setup, inbox: Inbox, clock: Clock, telemetry: Callable[[], SiteTelemetry | None]
    ) -> None:
        self.settings, self._setup, self._inbox, self._clock, self._telemetry = settings, setup, inbox, clock, telemetry
        self._heard_at, self._ever_heard = clock.now(), False
        self._standing: tuple[str, float] | None = None
        self._lost, self._holds_released = False, setup.site.link_loss is SafeState.HOLD
        self._open: dict[str, datetime | None] = {}
        self.fault = ""

    @property
    def key_name(self) -> str:
        """By which the inbox, the journal and envelopes know the link."""
        return f"link {self.settings.name}"

    def heard(self) -> None:
        """The counterparty gave a sign of life: what its silence brought about ends."""
        self._heard_at, self._ever_heard = self._clock.now(), True
        if self._lost:
            log.info("link heard again", link=self.settings.name)
        self._lost = False
        if not self._holds_released:
            self._holds_released = self._put_holds(released=True)

    def receive(self, documents: Sequence[Document]) -> list[Answer]:
        """Put calls into the inbox, all or none."""
        self.heard()
        placed = [("" if len(documents) == 1 else str(n), document) for n, document in enumerate(documents)]
        try:
            received = accept("call", placed, self._setup, self._inbox, self._clock.now(), self.key_name, [None] * len(placed))
            self._note_open(documents)
            return [Answer(repeated=not each.new) for each in received]
        except (InvalidDocument, IdempotencyConflict, LedgerUnavailable) as fault:
            log.error("a call over a link was refused", link=self.settings.name, why=str(fault))
            return [Answer(refused=str(fault)) for _ in documents]

    def open_ids(self) -> set[str]:
        """The ids of calls that have neither ended nor been taken back."""
        now = self._clock.now()
        self._open = {id_: end for id_, end in self._open.items() if end is None or end > now}
        return set(self._open)

    def _note_open(self, documents: Sequence[Document]) -> None:
        for document in documents:
            if document.get("kind") in ("recall", "cancel"):
                self._open.pop(str(document["id"]), None)
            else:
                end = document.get("end_at")
                self._open[str(document["id"])] = parse_instant(end) if isinstance(end, str) else None

    def set_point(self, mw: float) -> Answer:
        """Each value is a call of its own that ends the one before, so that the bill knows how long each was in force."""
        self.heard()
        if not math.isfinite(mw) or mw < 0:
            return Answer(refused=f"a set point is a load in MW, not {mw}")
        if self._standing is not None and abs(self._standing[1] - mw) <= SAME_MW:
            return Answer(repeated=True)
        now = self._clock.now()
        id_ = f"{self.settings.name}-{now:%Y%m%dT%H%M%S.%f}Z"
        set_point = {"id": id_, "obligation": self.settings.obligation, "kind": "set_point", "mw_target": mw, **self._times(now)}
        answer = self.receive([*self._end_standing(now), set_point])[-1]
        if answer.accepted:
            self._standing = (id_, mw)
        return answer

    def release(self) -> Answer:
        """Recall the set point in force."""
        self.heard()
        if not (ends := self._end_standing(self._clock.now())):
            return Answer(repeated=True)
        answer = self.receive(ends)[-1]
        if answer.accepted:
            self._standing = None
        return answer

    def standing_mw(self) -> float | None:
        """The set point in force, MW."""
        return self._standing[1] if self._standing else None

    def resume(self, calls: Sequence[Document]) -> None:
        """Take over what was in force when the process ended: open calls, and the newest set point of the link's own that nobody ended."""
        self._note_open(calls)
        ours = [c for c in calls if c.get("source") == self.key_name]
        ended = {c["id"] for c in ours if c.get("kind") in ("recall", "cancel")}
        standing = [c for c in ours if c.get("kind") == "set_point" and c["id"] not in ended]
        if standing:
            self._standing = (str(standing[-1]["id"]), float(standing[-1]["mw_target"]))

    def telemetry(self) -> SiteTelemetry | None:
        """The newest telemetry of the contract."""
        return self._telemetry()

    def telemetry_age_s(self) -> float | None:
        """How long ago its oldest part was read, seconds."""
        newest = self._telemetry()
        return None if newest is None else max(0.0, (self._clock.now() - newest.at).total_seconds())

    def alert(self, at: datetime) -> str:
        """A sentence while the link cannot be used or its counterparty is silent; empty else."""
        if self.fault:
            return self.fault
        silent_s = (at - self._heard_at).total_seconds()
        if silent_s <= self.settings.silent_after_s:
            return ""
        since = f"since {self._heard_at:%H:%M:%S}Z" if self._ever_heard else "since the start"
        kept = f"{self._standing[1]:g} MW stays in force" if self._standing else "what is in force stays so"
        does = {SafeState.HOLD: kept, SafeState.SLEEP: f"{kept} and the rigs sleep", SafeState.RUN: f"{kept} and the rigs run"}
        return f"nothing was heard {since}: {does[self._setup.site.link_loss]}; call the desk of the counterparty"

    def watch(self, at: datetime) -> None:
        """Act on a silence once: hold what is in force, or what `site.link_loss` says."""
        if self._lost or not self.alert(at):
            return
        self._lost = True
        log.error("link silent", link=self.settings.name, link_loss=self._setup.site.link_loss.value)
        if self._setup.site.link_loss is not SafeState.HOLD and self._put_holds(released=False):
            self._holds_released = False

    def _put_holds(self, *, released: bool) -> bool:
        """Hold every group of the contract in the mode of `link_loss`, or release it. Returns whether that is stored."""
        site, contract = self._setup.site, next(o for o in self._setup.book if o.name == self.settings.obligation)
        try:
            for name in contract.scope.names(site):
                group = site.group(name)
                asleep = site.link_loss is SafeState.SLEEP and any(m.name == SLEEP for m in group.modes)
                id_ = f"{self.key_name} {name}"
                hold = {"id": id_, "group": name, "mode": SLEEP if asleep else group.full.name, "by": self.key_name}
                self._inbox.put("hold", {"id": id_, "released": True} if released else hold, self.key_name)
        except LedgerUnavailable as fault:
            log.error("the silence of a link is not acted on yet", link=self.settings.name, error=str(fault))
            self._lost = self._lost and released
            return False
        return True

    def _times(self, at: datetime) -> dict[str, Any]:
        return {"notice_at": format_instant(at), "start_at": format_instant(at), "source": self.key_name}

    def _end_standing(self, at: datetime) -> list[Document]:
        if self._standing is None:
            return []
        return [{"id": self._standing[0], "obligation": self.settings.obligation, "kind": "recall", **self._times(at)}]
