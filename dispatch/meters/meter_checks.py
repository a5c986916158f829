"""Whether a meter can be believed: its readings compared with those of the rigs behind it. Pure.

A meter is doubted when it reads less than nothing or more than everything behind it can draw, and when for half a minute it reads less
than half of what its rigs are read to draw or shows less than half, or more than twice, of a change of theirs. It is believed again once it
agrees with its rigs for a minute and has moved by itself to do so, or has followed a change of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dispatch.power_meters import MeterId, MeterKind
from markets.forecasting.ladder import MILD_CELSIUS
from optimizer.domain.site import Site

# What is not impossible but unlikely must hold for so long before a meter is doubted, and agreement before it is believed again.
HELD_S, AGREED_S = 25.0, 60.0
# How far back a change of the rigs is looked for.
KEPT_S = 600.0
# Below this share of the nameplate behind a meter, neither a reading under zero nor a change of the rigs says anything about it.
NEGATIVE_SHARE, CHANGE_SHARE = 0.02, 0.1
MOST_ABOVE_NAMEPLATE = 1.3
LEAST_OF_RIGS = LEAST_OF_CHANGE = 0.5
MOST_OF_CHANGE = 2.0
# A meter agrees with its rigs within this share of what they draw, or of the nameplate; other load may be behind it too.
AGREES_SHARE, AGREES_NAMEPLATE_SHARE = 0.25, 0.1
# A doubted meter has moved by itself when it has made good this share of what it was off.
MOVED_SHARE = 0.6

Load = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Sample:
    """What a meter read and what the rigs behind it were read to draw, MW at the meter; `silent_mw` of it by rigs that did not answer."""

    at_s: float
    meter_mw: float
    rigs_mw: float
    silent_mw: float

    def change(self, since: _Sample) -> float:
        """By how much the rigs behind the meter changed at least, whatever those that were silent did; MW."""
        change, unknown = self.rigs_mw - since.rigs_mw, self.silent_mw + since.silent_mw
        return max(0.0, change - unknown) if change > 0 else min(0.0, change + unknown)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Why a meter is not believed, what it read then, and by how much that was off, MW."""

    why: str
    meter_mw: float
    off_mw: float


class MeterChecks:
    """The checks of the meters of a site. `behind` gives the groups behind each; one that reads net of generation is not listed."""

    def __init__(self, site: Site, behind: Mapping[MeterId, Sequence[str]]) -> None:
        self._factor = {
            meter: {g: 1.0 if meter.kind is MeterKind.GROUP else 1.0 + site.hall_of[g].overhead.at(MILD_CELSIUS) for g in groups}
            for meter, groups in behind.items()
            if groups
        }
        nameplate = {g.name: g.rigs * g.full.watts / 1e6 for g in site.groups}
        self._nameplate_mw = {meter: sum(nameplate[g] * f for g, f in factors.items()) for meter, factors in self._factor.items()}
        self._samples: dict[MeterId, list[_Sample]] = {meter: [] for meter in self._factor}
        self._doubts: dict[MeterId, _Doubt] = {}

    @property
    def doubts(self) -> dict[MeterId, str]:
        """Why each doubted meter is not believed."""
        return {meter: doubt.why for meter, doubt in sorted(self._doubts.items())}

    def compare(self, at_s: float, meters: Mapping[MeterId, float], drawn_mw: Load, silent_mw: Load) -> None:
        """Take in readings of one instant, epoch seconds: MW by meter, and by group what its rigs draw at the wall as last read, and how
        much of that by rigs that did not answer."""
        for meter, factors in self._factor.items():
            if meter in meters:
                rigs_mw, silent = (sum(load[g] * f for g, f in factors.items()) for load in (drawn_mw, silent_mw))
                known = [s for s in self._samples[meter] if s.at_s > at_s - KEPT_S]
                self._samples[meter] = [*known, _Sample(at_s, meters[meter], rigs_mw, silent)]
                self._judge(meter)

    def _judge(self, meter: MeterId) -> None:
        held = self._held(meter, HELD_S)
        if meter in self._doubts:
            if self._believed_again(meter, self._doubts[meter]):
                del self._doubts[meter]
        elif (doubt := next(self._faults(meter, held), None)) is not None:
            self._doubts[meter] = doubt

    def _held(self, meter: MeterId, span_s: float) -> list[_Sample]:
        """The newest samples, over `span_s` at least; none where there are fewer."""
        samples = self._samples[meter]
        first = max((n for n, s in enumerate(samples) if s.at_s <= samples[-1].at_s - span_s), default=None)
        return [] if first is None else samples[first:]

    def _faults(self, meter: MeterId, held: Sequence[_Sample]) -> Iterator[_Doubt]:
        """What the newest sample, and the samples of half a minute, say against a meter."""
        now, nameplate_mw = self._samples[meter][-1], self._nameplate_mw[meter]
        most_mw = MOST_ABOVE_NAMEPLATE * nameplate_mw
        if now.meter_mw < -NEGATIVE_SHARE * nameplate_mw:
            yield _Doubt(f"it reads {now.meter_mw:.3f} MW, and nothing generates behind it", now.meter_mw, now.rigs_mw - now.meter_mw)
        if now.meter_mw > most_mw:
            why = f"it reads {now.meter_mw:.3f} MW, and the rigs behind it draw {nameplate_mw:.3f} MW in full"
            yield _Doubt(why, now.meter_mw, now.rigs_mw - now.meter_mw)
        if not held:
            return
        answering = [s.rigs_mw - s.silent_mw for s in held]
        if all(mw > CHANGE_SHARE * nameplate_mw and s.meter_mw < LEAST_OF_RIGS * mw for s, mw in zip(held, answering, strict=True)):
            why = f"it reads {now.meter_mw:.3f} MW while the rigs behind it are read to draw {now.rigs_mw:.3f} MW"
            yield _Doubt(why, now.meter_mw, now.rigs_mw - now.meter_mw)
        if (since := self._before_change(meter, held)) and not any(_follows(s, since) for s in held):
            change, rigs = now.meter_mw - since.meter_mw, now.change(since)
            why = f"it changed by {change:+.3f} MW while the rigs behind it changed by {rigs:+.3f} MW"
            yield _Doubt(why, now.meter_mw, rigs - change)

    def _before_change(self, meter: MeterId, held: Sequence[_Sample]) -> _Sample | None:
        """The sample before the largest change of the rigs that held all through `held`; None where there was none that counts."""
        before = [s for s in self._samples[meter] if s.at_s < held[0].at_s]
        least_mw = CHANGE_SHARE * self._nameplate_mw[meter]
        changed = [(min(abs(h.change(s)) for h in held), s) for s in before]
        most_mw, found = max(changed, key=lambda pair: pair[0], default=(0.0, None))
        return found if most_mw >= least_mw else None

    def _believed_again(self, meter: MeterId, doubt: _Doubt) -> bool:
        held, nameplate_mw = self._held(meter, AGREED_S), self._nameplate_mw[meter]
        within = [abs(s.meter_mw - s.rigs_mw) <= max(AGREES_SHARE * s.rigs_mw, AGREES_NAMEPLATE_SHARE * nameplate_mw) for s in held]
        if not held or not all(within):
            return False
        now = held[-1]
        if (now.meter_mw - doubt.meter_mw) / doubt.off_mw >= MOVED_SHARE:
            return True
        since = self._before_change(meter, held)
        return since is not None and all(_follows(s, since) for s in held)


def _follows(now: _Sample, since: _Sample) -> bool:
    """Whether a meter shows a change of the rigs, roughly."""
    change = now.change(since)
    return change == 0.0 or LEAST_OF_CHANGE <= (now.meter_mw - since.meter_mw) / change <= MOST_OF_CHANGE
