"""The dispatch desk of a rehearsal: it sends each message when its time has come, and keeps what the site is then read to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatch.decide.state import State
from dispatch.entries import Seen
from dispatch.rehearsal.desk_protocols import DeskEnd, DeskProtocol, Timed
from dispatch.rehearsal.load_range import LoadRange
from dispatch.rehearsal.scenarios import CallScenario, Message
from dispatch.signals.links.linked_site import LinkedSite

# Seconds between two signs of life of a desk that is not silent.
LIFE_EVERY = timedelta(seconds=30)


@dataclass(slots=True)
class Play:
    """A scenario over a protocol, as it was played.

    readings   metered MW of the contract's rigs, each with its instant
    accepted   of each message, whether the site accepted it
    alarm      whether the silence of the desk became an alarm
    """

    scenario: CallScenario
    protocol: DeskProtocol
    start: datetime
    readings: list[tuple[datetime, float]] = field(default_factory=list)
    accepted: list[tuple[Message, bool]] = field(default_factory=list)
    alarm: bool = False

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.scenario.lasts_min)

    @property
    def line(self) -> tuple[str, str]:
        """Names the link it is played over: its protocol and its contract."""
        return self.protocol.name, self.scenario.contract


@dataclass(frozen=True, slots=True)
class DeskLine:
    """A link of a rehearsed site and the desk's end of it; `loads` is the range of the contract's rigs, `groups` their names."""

    site: LinkedSite
    end: DeskEnd
    loads: LoadRange
    groups: tuple[str, ...]


class DispatchDesk:
    """Plays scenarios one after the other over `lines`, one for each protocol and contract."""

    def __init__(self, plays: Sequence[Play], lines: Mapping[tuple[str, str], DeskLine]) -> None:
        self._lines, self._plays, self._ended = lines, list(plays), 0
        self._due = sorted(self._messages(plays), key=lambda each: each[0])
        self._lived_at: datetime | None = None

    @staticmethod
    def _messages(plays: Sequence[Play]) -> Iterator[tuple[datetime, int, Play, Message]]:
        for n, each in enumerate(plays):
            for message in each.scenario.messages:
                yield each.start + timedelta(minutes=message.sent_min), n, each, message

    def next_at(self) -> datetime | None:
        """When the next message is due."""
        return self._due[0][0] if self._due else None

    def is_due(self, at: datetime) -> bool:
        """Whether a message waits to be sent at an instant."""
        return bool(self._due) and self._due[0][0] <= at

    def no_later(self, until: datetime) -> datetime:
        """An instant, or that of the next message where it is earlier."""
        return min(until, self._due[0][0]) if self._due else until

    async def send_due(self, at: datetime) -> None:
        """Send what is due at `at`, and give a sign of life where the desk is not silent."""
        now = next((p for p in self._plays if p.start <= at < p.end), None)
        while self._due and self._due[0][0] <= at:
            due, n, each, message = self._due.pop(0)
            for _ in range(message.times):
                each.accepted.append((message, await self._lines[each.line].end.send(self._timed(each, message, n, due))))
        if now is not None and now.scenario.silent:
            now.alarm = now.alarm or bool(self._lines[now.line].site.alert(at))
        elif now is not None and (self._lived_at is None or at - self._lived_at >= LIFE_EVERY):
            await self._lines[now.line].end.sign_of_life()
            self._lived_at = at
        while self._ended < len(self._plays) and self._plays[self._ended].end <= at:
            await self._end(self._plays[self._ended])

    async def _end(self, play: Play) -> None:
        """Nothing of a scenario stays in force for the next one."""
        line = self._lines[play.line]
        await line.end.end_all()
        line.site.release()
        self._ended += 1

    def _timed(self, each: Play, message: Message, n: int, due: datetime) -> Timed:
        def at(minute: float | None) -> datetime | None:
            return None if minute is None else each.start + timedelta(minutes=minute)

        loads, share = self._lines[each.line].loads, message.share
        mw = None if share is None else share * loads.width_mw if message.reduce else loads.at(share)
        id_ = f"{n + 1:02d}-{each.scenario.name.replace(': ', '-')}-{message.id}"
        return Timed(message, id_, due, at(message.start_min), at(message.end_min), mw, message.obligation or each.scenario.contract)

    def observed(self, seen: Seen, state: State) -> None:
        """Keep the load of an observation for the scenario under way."""
        for each in self._plays:
            if each.start <= seen.at <= each.end:
                groups = [name for name in self._lines[each.line].groups if name in seen.fleet]
                each.readings.append((seen.at, sum(seen.fleet[name].load_mw * state.overhead(name, seen.at) for name in groups)))
