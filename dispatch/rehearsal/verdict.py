"""Whether a scenario passed: what the site accepted, and what it drew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from dispatch.rehearsal.play import LoadRange, Play
from dispatch.rehearsal.scenarios import Expected

# How long after a limit begins the load must be below it: the fastest service that these contracts sell is answered within ten minutes.
RESPONSE = timedelta(minutes=3)
# Of the range of the rigs. ERCOT asks a controllable load for less, over five minutes; here every reading counts.
SHARE = 0.01
# Rigs that are left alone draw at least this share of their range; each has its own small differences.
LEFT_ALONE = 0.9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rehearsal says of one scenario over one protocol: `faults` is empty when it passed."""

    scenario: str
    protocol: str
    what: str
    faults: tuple[str, ...]
    reached_after_s: float | None
    readings: int

    @property
    def passed(self) -> bool:
        return not self.faults


def judge(play: Play, loads: LoadRange, rig_mw: float) -> Verdict:
    """The verdict on a play. `rig_mw` is the load of the largest rig: what is asked for is met in whole rigs."""
    tolerance_mw = max(SHARE * loads.width_mw, rig_mw)
    faults = [*_answers(play)]
    reached: float | None = None
    for expected in play.scenario.expected:
        faults += _faults(play, expected, loads, tolerance_mw)
        if expected.share is not None and reached is None:
            reached = _reached_after_s(play, expected, loads, tolerance_mw)
    if play.scenario.silent and not play.alarm:
        faults.append("the desk fell silent and there was no alarm")
    return Verdict(play.scenario.name, play.protocol.name, play.scenario.what, tuple(faults), reached, len(play.readings))


def _answers(play: Play) -> Iterator[str]:
    for message, accepted in play.accepted:
        if accepted is message.refused:
            what = f"{message.kind} {message.id} of minute {message.at:g}"
            yield f"{what} was accepted, and had to be refused" if accepted else f"{what} was refused"


def _span(play: Play, expected: Expected) -> list[float]:
    """The loads of the readings in which what is expected must hold."""
    start, end = play.start + timedelta(minutes=expected.start), play.start + timedelta(minutes=expected.end)
    first = start if expected.share is None else start + RESPONSE
    return [mw for at, mw in play.readings if first <= at < end]


def _faults(play: Play, expected: Expected, loads: LoadRange, tolerance_mw: float) -> Iterator[str]:
    seen, over = _span(play, expected), f"minutes {expected.start:g} to {expected.end:g}"
    if not seen:
        yield f"{over}: nothing was read"
        return
    if expected.share is None:
        least_mw = loads.at(LEFT_ALONE)
        if min(seen) < least_mw:
            yield f"{over}: rigs that were to be left alone drew {min(seen):.3f} MW, less than {least_mw:.3f} MW"
        return
    asked_mw = loads.at(expected.share)
    if max(seen) > asked_mw + tolerance_mw:
        yield f"{over}: {max(seen):.3f} MW were drawn, {max(seen) - asked_mw:.3f} MW more than asked for"
    if expected.exactly and min(seen) < asked_mw - tolerance_mw:
        yield f"{over}: {min(seen):.3f} MW were drawn, {asked_mw - min(seen):.3f} MW less than asked for"


def _reached_after_s(play: Play, expected: Expected, loads: LoadRange, tolerance_mw: float) -> float | None:
    assert expected.share is not None
    start, asked_mw = play.start + timedelta(minutes=expected.start), loads.at(expected.share)
    met = [at for at, mw in play.readings if at >= start and mw <= asked_mw + tolerance_mw]
    return (met[0] - start).total_seconds() if met else None
