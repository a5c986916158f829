"""What a demand charge goes by beside the metered load: the highest load of its period so far, and past months by a ratchet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field

from optimizer.domain.memory import PeriodMemory
from optimizer.domain.site import NotNegative, Written

Month = Annotated[int, Field(ge=1, le=12)]
YearMonth = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
# Past months that are remembered: the longest ratchet.
KEPT_MONTHS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPeakMemory(PeriodMemory):
    """The month (ncp) or year (mbd) so far, and the months before it.

    own_peak_mw       the site's own highest metered load, MW
    least_is_billed   whether a bill of the period holds what is billed at least: it does once any hour of the period is billed
    past_mw           by number of an earlier period, its highest metered load, MW
    """

    own_peak_mw: float = 0.0
    least_is_billed: bool = False
    past_mw: Mapping[int, float] = field(default_factory=dict)

    def of_period(self, period: int) -> OwnPeakMemory:
        """This memory, or one of that period that knows no more than the periods before it."""
        if self.period in (None, period):
            return self
        return replace(self, period=period, own_peak_mw=0.0, least_is_billed=False, past_mw=self.before(period))

    def before(self, period: int) -> dict[int, float]:
        """The highest loads of earlier periods, the newest of them."""
        known = {**self.past_mw, **({} if self.period is None else {self.period: self.own_peak_mw})}
        return {n: known[n] for n in sorted(known) if period - KEPT_MONTHS <= n < period}

    def after(self, loads: Iterable[tuple[int, float]]) -> OwnPeakMemory:
        """With the loads of a stretch of time, each with its period; it is of the last one's."""
        memory = self
        for period, mw in loads:
            memory = replace(memory.of_period(period), period=period)
            if mw == mw:
                memory = replace(memory, own_peak_mw=max(memory.own_peak_mw, mw), least_is_billed=True)
        return memory


class Ratchet(Written):
    """The part of past demands that a month is billed at least.

    share         of the highest demand of the months before
    months_back   how many months before the billed one count
    months        of these, the calendar months that count
    past_mw       demands before the site was run here, by month, as { "2026-07" = 41.2 }; such a month goes by this figure
    """

    share: Annotated[float, Field(gt=0, le=1)]
    months_back: Annotated[int, Field(ge=1, le=KEPT_MONTHS)] = 11
    months: tuple[Month, ...] = tuple(range(1, 13))
    past_mw: Mapping[YearMonth, NotNegative] = Field(default_factory=dict)

    def least_mw(self, memory: OwnPeakMemory, month: int) -> float:
        """What a month (12 x year + month - 1) is billed at least, by the months before it that are known, MW."""
        written = {12 * int(name[:4]) + int(name[5:]) - 1: mw for name, mw in self.past_mw.items()}
        known = {**memory.before(month), **written}
        counted = [mw for n, mw in known.items() if month - self.months_back <= n < month and n % 12 + 1 in self.months]
        return self.share * max(counted, default=0.0)

    def cited(self) -> str:
        """The ratchet in words."""
        of = "" if len(self.months) == 12 else " that count"
        return f"; at least {self.share:.4g} of the highest demand of the {self.months_back} months before{of} (ratchet)"
