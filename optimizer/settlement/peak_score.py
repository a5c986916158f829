"""The scores of a month (or season) with a coincident peak: whether the site was down at it, how often it was down for it, and how good the
chances were that plans gave. Pure; parts of a month add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from typing_extensions import TypedDict

from markets.grid import Interval, Market, month_span
from markets.outlook import PeakWindow
from optimizer.settlement.peak_record import PeakInterval

CAUGHT_SHARE = 0.5  # of the full load: a peak is caught where at least so much of it was not drawn
EXACT = 1e-6  # shares of a peak that differ by less are the same
CHANCES = (0.001, 0.01, 0.05, 0.2, 0.5)  # between them lie the classes of chances that are compared with how often the peak came


class PeakScore(TypedDict):
    """A month (or season) of one contract, or several added up; None where a figure is not known.

    peaks, caught, missed   coincident peaks in it, and whether the site was down; `unknown` ones lack system load, a reading or the run
    chance                  that plans gave the peak's interval beforehand
    load_mw, full_load_mw   at the peak, and with every rig running
    not_drawn_mwh           in the peak's interval; `saved_usd` is what it took off the charge, against every rig running
    curtailed_hours         in which rigs slept for the peak that the energy price alone would have run; `curtailed_mwh`, `hash_usd`
                            (hash revenue given up, before the pool's fee) and `margin_usd` (what of it other charges would have left)
    curtailed_days, false_alarm_days    with such hours, and those of them without the peak
    brier                   mean squared difference of chance and outcome over the metered intervals; `brier_of_equal_chances` the same of
                            one chance for all of them
    intervals               metered ones; `scored` of them have a chance and an outcome
    calibration             by class of chance: intervals, the mean chance, and the share of them that was the peak
    """

    contract: str
    period: str
    peaks: int
    caught: int
    missed: int
    unknown: int
    start: str | None
    end: str | None
    chance: float | None
    load_mw: float | None
    full_load_mw: float | None
    not_drawn_mwh: float | None
    saved_usd: float | None
    curtailed_hours: float
    curtailed_mwh: float
    hash_usd: float
    margin_usd: float
    curtailed_days: int
    false_alarm_days: int
    brier: float | None
    brier_of_equal_chances: float | None
    intervals: int
    scored: int
    calibration: list[dict[str, float]]


@dataclass(slots=True)
class PeakTally:
    """The sums behind a score; `at_peak` are figures of the intervals with the peak, weighed by the share of it that lies in each. `unread`
    intervals may hold the peak, as nobody knows the system's load in them; `scored_share` is how much of the peak lies in scored ones."""

    contract: str
    window: str
    period: str
    intervals: int = 0
    scored: int = 0
    unread: int = 0
    squares: float = 0.0
    scored_share: float = 0.0
    share: float = 0.0
    share_squares: float = 0.0
    at_peak: dict[str, float] = field(default_factory=dict)
    peak_start: str | None = None
    peak_end: str | None = None
    curtailed: dict[str, float] = field(default_factory=dict)
    curtailed_days: list[str] = field(default_factory=list)
    peak_days: list[str] = field(default_factory=list)
    classes: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0, 0.0] for _ in range(len(CHANCES) + 1)])

    def add(self, interval: PeakInterval, share: float, on: str) -> None:
        """Add a metered interval of operating day `on` with the share of the peak that lies in it, NaN where that is not known."""
        self.intervals += 1
        self.unread += math.isnan(share)
        if not math.isnan(share) and not math.isnan(interval.chance):
            self.scored += 1
            self.squares += (interval.chance - share) ** 2
            self.scored_share += share
            self.share_squares += share**2
            of_class = self.classes[sum(interval.chance >= edge for edge in CHANCES)]
            for n, value in enumerate((1.0, interval.chance, share)):
                of_class[n] += value
        if share > 0:
            self._add_peak(interval, share, on)
        for name in ("curtailed_hours", "curtailed_mwh", "hash_usd", "margin_usd"):
            self.curtailed[name] = self.curtailed.get(name, 0.0) + getattr(interval, name)
        if interval.curtailed_hours > 0 and on not in self.curtailed_days:
            self.curtailed_days.append(on)

    def _add_peak(self, interval: PeakInterval, share: float, on: str) -> None:
        self.share += share
        for name in ("chance", "load_mw", "full_load_mw", "charge_usd", "full_charge_usd"):
            self.at_peak[name] = self.at_peak.get(name, 0.0) + share * getattr(interval, name)
        hours = share * interval.over.hours
        self.at_peak["not_drawn_mwh"] = self.at_peak.get("not_drawn_mwh", 0.0) + hours * (interval.full_load_mw - interval.load_mw)
        self.peak_start = min(filter(None, (self.peak_start, interval.over.start.isoformat())))
        self.peak_end = max(filter(None, (self.peak_end, interval.over.end.isoformat())))
        if on not in self.peak_days:
            self.peak_days.append(on)

    @property
    def is_complete(self) -> bool:
        """Whether the peak lies in these intervals, and no higher load can lie in one of them that nobody read."""
        return not self.unread and abs(self.share - 1.0) < EXACT

    @property
    def gradable(self) -> bool:
        """Whether every interval with the peak has a chance to compare it with: without, the others alone would be graded."""
        return self.is_complete and abs(self.scored_share - 1.0) < EXACT

    def score(self) -> PeakScore:
        """The score of the sums."""
        whole, scored = self.is_complete, self.scored if self.gradable else 0
        at = {name: None if math.isnan(value) or not whole else value for name, value in self.at_peak.items()}
        load, full, charge, full_charge = (at.get(name) for name in ("load_mw", "full_load_mw", "charge_usd", "full_charge_usd"))
        caught = None if load is None or full is None else load <= (1.0 - CAUGHT_SHARE) * full
        return {
            "contract": self.contract,
            "period": self.period,
            "peaks": 1,
            "caught": int(caught is True),
            "missed": int(caught is False),
            "unknown": int(caught is None),
            "start": self.peak_start if whole else None,
            "end": self.peak_end if whole else None,
            "chance": at.get("chance"),
            "load_mw": load,
            "full_load_mw": full,
            "not_drawn_mwh": at.get("not_drawn_mwh"),
            "saved_usd": None if charge is None or full_charge is None else full_charge - charge,
            "curtailed_hours": self.curtailed.get("curtailed_hours", 0.0),
            "curtailed_mwh": self.curtailed.get("curtailed_mwh", 0.0),
            "hash_usd": self.curtailed.get("hash_usd", 0.0),
            "margin_usd": self.curtailed.get("margin_usd", 0.0),
            "curtailed_days": len(self.curtailed_days),
            "false_alarm_days": len(set(self.curtailed_days) - set(self.peak_days)),
            "brier": self.squares / scored if scored else None,
            "brier_of_equal_chances": (self.share_squares - 1.0 / scored) / scored if scored else None,
            "intervals": self.intervals,
            "scored": self.scored,
            "calibration": calibration([self]),
        }


def added(tallies: Iterable[PeakTally]) -> list[PeakTally]:
    """The sums of parts of the same contract and period, in their order."""
    found: dict[tuple[str, str, str], PeakTally] = {}
    for tally in tallies:
        key = (tally.contract, tally.window, tally.period)
        found[key] = _sum(found[key], tally) if key in found else tally
    return list(found.values())


def _sum(one: PeakTally, other: PeakTally) -> PeakTally:
    starts, ends = ([t for t in edges if t] for edges in ((one.peak_start, other.peak_start), (one.peak_end, other.peak_end)))
    return replace(
        one,
        intervals=one.intervals + other.intervals,
        scored=one.scored + other.scored,
        unread=one.unread + other.unread,
        scored_share=one.scored_share + other.scored_share,
        squares=one.squares + other.squares,
        share=one.share + other.share,
        share_squares=one.share_squares + other.share_squares,
        at_peak=_added(one.at_peak, other.at_peak),
        peak_start=min(starts, default=None),
        peak_end=max(ends, default=None),
        curtailed=_added(one.curtailed, other.curtailed),
        curtailed_days=list(dict.fromkeys([*one.curtailed_days, *other.curtailed_days])),
        peak_days=list(dict.fromkeys([*one.peak_days, *other.peak_days])),
        classes=[[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(one.classes, other.classes, strict=True)],
    )


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def calibration(tallies: Iterable[PeakTally]) -> list[dict[str, float]]:
    """By class of chance, from low to high, those that occur: intervals, their mean chance, and the share of them that was the peak. Of
    whole months (or seasons) alone: in the others the peak came where nobody looked."""
    sums = [[0.0, 0.0, 0.0] for _ in range(len(CHANCES) + 1)]
    for tally in (tally for tally in tallies if tally.gradable):
        sums = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(sums, tally.classes, strict=True)]
    return [
        {"from": low, "to": high, "intervals": n, "mean_chance": chance / n, "share": share / n}
        for low, high, (n, chance, share) in zip((0.0, *CHANCES), (*CHANCES, 1.0), sums, strict=True)
        if n
    ]


def period_of(market: Market, over: Interval, window: PeakWindow) -> tuple[str, Interval]:
    """The month (or season, counted from December) that an interval is metered in: its name, "2026-08" or "2026-06 to 2026-08", and its
    span."""
    each = window[1] if isinstance(window, tuple) else 1
    local = over.start.astimezone(market.tz)
    first = local.year * 12 + local.month - 1
    first -= (first + 1) % each
    names = [f"{n // 12}-{n % 12 + 1:02d}" for n in dict.fromkeys((first, first + each - 1))]
    return " to ".join(names), Interval(month_span(market, first).start, month_span(market, first + each - 1).end)
