"""How well a call was answered, by the formula of its programme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from markets.grid import Interval
from optimizer.domain.array_types import Numbers

ROUNDING = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class JudgedInterval:
    """A settlement interval that a call touches.

    share        of the interval in which the call was due
    baseline_mw  the load that a reduction is counted from; None where the programme has none
    most_mw      the load that could stay
    load_mw      the load that was metered; None where none was
    performance  the programme's figure of the interval; None where it is left out
    left_out     why it is not judged; empty where it is
    """

    over: Interval
    share: Decimal
    baseline_mw: Decimal | None
    most_mw: Decimal | None
    load_mw: Decimal | None
    performance: Decimal | None
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class CallPerformance:
    """The programme's judgement of a call: `figure` by `formula`, passed from `least` on and up to `most` (None: any). `figure` is None
    where nothing of the call was judged."""

    formula: str
    rule: str
    figure: Decimal | None
    least: Decimal
    most: Decimal | None
    intervals: Sequence[JudgedInterval]

    @property
    def passed(self) -> bool | None:
        """Whether the call was answered as the programme asks; None where nothing of it was judged."""
        if self.figure is None:
            return None
        return self.figure >= self.least - ROUNDING and (self.most is None or self.figure <= self.most + ROUNDING)


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction by interval, as its bill counts it, shape (n,) each.

    intervals    of the grid
    within       the share of each in which the call was due
    load_mwh     metered; NaN where nothing was
    baseline_mw  from which the reduction is counted
    asked_mwh    called for, `done_mwh` of it reached
    """

    intervals: Sequence[Interval]
    within: Numbers
    load_mwh: Numbers
    baseline_mw: Numbers
    asked_mwh: Numbers
    done_mwh: Numbers

    def judged(self) -> list[JudgedInterval]:
        """The intervals in which the call was due, each with the share of the reduction that was reached."""
        out = []
        for t, over in enumerate(self.intervals):
            hours, asked = Decimal(over.hours), self.asked_mwh[t]
            if self.within[t] <= 0 or asked <= 0:
                continue
            base, load = self.baseline_mw[t], self.load_mwh[t]
            most = base - asked / (hours * self.within[t])
            if load.is_nan():
                out.append(JudgedInterval(over, self.within[t], base, most, None, None, "nothing was metered"))
            else:
                reached = min(max(self.done_mwh[t] / asked, Decimal(0)), Decimal(1))
                out.append(JudgedInterval(over, self.within[t], base, most, load / hours, reached))
        return out


def worst_interval(reduction: Reduction, rule: str, spared: Decimal) -> CallPerformance:
    """The performance of a programme that judges every interval by itself and spares a share of the reduction."""
    judged = reduction.judged()
    figure = min((each.performance for each in judged if each.performance is not None), default=None)
    formula = "least share of the reduction that any interval reached: (baseline - load) / reduction, clip 0 to 1"
    return CallPerformance(formula, rule, figure, Decimal(1) - spared, None, judged)
