"""Whether a scenario passed: what the site accepted, and what it drew, by the terms of the contract that was called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from dispatch.rehearsal.dispatch_desk import Play
from dispatch.rehearsal.load_range import LoadRange
from dispatch.rehearsal.scenarios import Expected
from optimizer.domain.call_terms import CallTerms

# A set point is tracked within this share of the range of the rigs, which is narrower than any programme's tolerance.
TRACKED_WITHIN = 0.01
# Rigs that are left alone draw at least this share of their range; each has its own small differences.
LEFT_ALONE = 0.9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rehearsal says of one scenario over one protocol: `faults` is empty when it passed. `asked_mw` is the lowest load asked for,
    `drawn_mw` the highest that was drawn while it was due, `due_after_s` and `reached_after_s` when it was due and when it was reached."""

    scenario: str
    contract: str
    protocol: str
    what: str
    faults: tuple[str, ...]
    due_after_s: float | None
    reached_after_s: float | None
    asked_mw: float | None
    drawn_mw: float | None
    readings: int

    @property
    def passed(self) -> bool:
        return not self.faults


def judge(play: Play, loads: LoadRange, terms: CallTerms) -> Verdict:
    """The verdict on a play, by the terms of its contract; `loads` is the range of the contract's rigs."""
    faults, asked = [*_answers(play)], [e for e in play.scenario.expected if e.share is not None]
    for expected in play.scenario.expected:
        faults += _faults(play, expected, loads, terms)
    if play.scenario.silent and not play.alarm:
        faults.append("the desk fell silent and there was no alarm")
    first = asked[0] if asked else None
    lowest = min(asked, key=lambda e: e.share or 0.0, default=None)
    return Verdict(
        play.scenario.name,
        play.scenario.contract,
        play.protocol.name,
        play.scenario.what,
        tuple(faults),
        60.0 * (_due_min(first, terms) - first.start_min) if first else None,
        _reached_after_s(play, first, loads, terms) if first else None,
        loads.at(lowest.share or 0.0) if lowest else None,
        max(_span(play, lowest, terms), default=None) if lowest else None,
        len(play.readings),
    )


def _answers(play: Play) -> Iterator[str]:
    for message, accepted in play.accepted:
        if accepted is message.refused:
            what = f"{message.kind} {message.id} of minute {message.sent_min:g}"
            yield f"{what} was accepted, and had to be refused" if accepted else f"{what} was refused"


def _due_min(expected: Expected, terms: CallTerms) -> float:
    notice_min = expected.start_min if expected.notice_min is None else expected.notice_min
    return terms.due_min(expected.start_min, notice_min)


def _span(play: Play, expected: Expected, terms: CallTerms) -> list[float]:
    """The loads of the readings in which what is expected must hold."""
    minute = _due_min(expected, terms) if expected.share is not None else expected.start_min + (expected.back_within_min or 0.0)
    first, end = play.start + timedelta(minutes=minute), play.start + timedelta(minutes=expected.end_min)
    return [mw for at, mw in play.readings if first <= at < end]


def _allowed_mw(expected: Expected, loads: LoadRange, terms: CallTerms) -> tuple[float, float]:
    """How far above and below the load asked for is allowed, MW: the programme's share of the reduction, or one rig."""
    reduced_mw = loads.highest_mw - loads.at(expected.share or 0.0)
    above = max(loads.rig_mw, terms.missing_share * reduced_mw)
    if expected.exactly:
        above = below = max(loads.rig_mw, TRACKED_WITHIN * loads.width_mw)
    else:
        below = float("inf") if terms.excess_share is None else max(loads.rig_mw, terms.excess_share * reduced_mw)
    return above, below


def _faults(play: Play, expected: Expected, loads: LoadRange, terms: CallTerms) -> Iterator[str]:
    seen, over = _span(play, expected, terms), f"minutes {expected.start_min:g} to {expected.end_min:g}"
    if not seen:
        yield f"{over}: nothing was read"
        return
    if expected.share is None:
        least_mw = loads.at(LEFT_ALONE)
        if min(seen) < least_mw:
            were = "were to be back" if expected.back_within_min else "were to be left alone"
            yield f"{over}: rigs that {were} drew {min(seen):.3f} MW, less than {least_mw:.3f} MW"
        return
    asked_mw = loads.at(expected.share)
    above_mw, below_mw = _allowed_mw(expected, loads, terms)
    if max(seen) > asked_mw + above_mw:
        yield f"{over}: {max(seen):.3f} MW were drawn, {max(seen) - asked_mw:.3f} MW more than asked for; {above_mw:.3f} MW are allowed"
    if min(seen) < asked_mw - below_mw:
        yield f"{over}: {min(seen):.3f} MW were drawn, {asked_mw - min(seen):.3f} MW less than asked for; {below_mw:.3f} MW are allowed"


def _reached_after_s(play: Play, expected: Expected, loads: LoadRange, terms: CallTerms) -> float | None:
    assert expected.share is not None
    start, asked_mw = play.start + timedelta(minutes=expected.start_min), loads.at(expected.share)
    above_mw, _ = _allowed_mw(expected, loads, terms)
    met = [at for at, mw in play.readings if at >= start and mw <= asked_mw + above_mw]
    return (met[0] - start).total_seconds() if met else None
