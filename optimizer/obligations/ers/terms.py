"""The terms of an ERS contract: obligated periods, contract periods, and what one is worth (ERCOT Nodal Protocols 8.1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from markets.facts import Call, CallKind
from markets.grid import Grid, Interval, Market
from optimizer.domain.calls import calls_in_force
from optimizer.domain.contract import Contract
from optimizer.domain.market_rules import days, rule
from optimizer.domain.money import decimal
from optimizer.domain.site import Fraction, NotNegative, Positive
from optimizer.domain.time_periods import TimePeriod
from optimizer.obligations.ers.calendar import availability_pay, event_pay, hours_left, merged, periods_over, shares, term
from optimizer.obligations.ers.memory import ErsMemory, ErsTest, Term, TermTotals

WINTER = (12, 1, 2, 3)
LONGEST_TERM_DAYS = 122
EVENTS = (CallKind.DEPLOY, CallKind.TEST)
# A performance that reaches its threshold but for the last digits of a float has reached it.
ROUNDING = 1e-9


class ErsTerms(Contract[ErsMemory]):
    """ERS-10 or ERS-30 on a meter of its own.

    mw, usd_per_mw_hour   obligation and price of every period that has none of its own
    max_base_load_mw      MBL: what may still run when deployed (alternate baseline)
    baseline              "alternate": judged by MBL; "default": by the baseline that ERCOT computes for the load
    baseline_mw           the default baseline, where no award of product BASELINE says another, MW
    periods               when it is obligated
    rest_available        share of the hours still ahead in the term that will be available
    renewal               obligated anew for the rest of a term whose hours are used up
    """

    rule_prefixes: ClassVar[tuple[str, ...]] = ("ercot.ers.",)
    memory_type = ErsMemory
    name: str = "ers"
    product: Literal["ERS-10", "ERS-30"]
    mw: Positive = Field(ge=0.1)
    max_base_load_mw: NotNegative = 0.0
    usd_per_mw_hour: NotNegative
    baseline: Literal["alternate", "default"] = "alternate"
    baseline_mw: Positive | None = None
    periods: tuple[TimePeriod, ...] = Field(min_length=1)
    rest_available: Fraction = 1.0
    renewal: bool = False

    @model_validator(mode="after")
    def _one_baseline(self) -> ErsTerms:
        if self.baseline == "alternate" and self.baseline_mw is not None:
            raise ValueError("baseline_mw does not apply to baseline 'alternate': max_base_load_mw judges it")
        if self.baseline == "default" and self.baseline_mw is None:
            raise ValueError(
                "baseline_mw is missing: baseline 'default' is judged by it; add the load in MW that ERCOT computed, "
                "which awards of product BASELINE then replace by the interval"
            )
        if self.baseline_mw is not None and max(self.mw, *(p.mw or 0.0 for p in self.periods)) > self.baseline_mw:
            raise ValueError("mw is more than baseline_mw: nobody can drop more than the baseline")
        return self

    def memory_days(self) -> int:
        """The longest term, or the days over which failed tests count."""
        return max([LONGEST_TERM_DAYS, *(int(r.value) for r in self._rules if r.id == "ercot.ers.failed_tests_days")])

    def figure(self, word: str, on: date) -> Any:
        return rule(self._rules, f"ercot.ers.{word}", on).value

    def mw_of(self, period: TimePeriod | None) -> float:
        return self.mw if period is None or period.mw is None else period.mw

    def price_of(self, period: TimePeriod) -> float:
        return self.usd_per_mw_hour if period.usd_per_mw_hour is None else period.usd_per_mw_hour

    def base_mw(self, period: TimePeriod | None) -> float:
        if self.baseline == "default":
            return 0.0
        return self.max_base_load_mw if period is None or period.max_base_load_mw is None else period.max_base_load_mw

    def threshold_mw(self, period: TimePeriod, on: date) -> float:
        """The load from which on an interval counts as available."""
        return float(decimal(self.base_mw(period)) + decimal(self.figure("available_share", on)) * decimal(self.mw_of(period)))

    def thresholds_mw(self, due: Sequence[TimePeriod | None], on: date) -> list[float]:
        """The same of each interval; zero where nothing is due."""
        known = {id(p): self.threshold_mw(p, on) for p in {id(p): p for p in due if p}.values()}
        return [known[id(p)] if p else 0.0 for p in due]

    def ceiling_h(self, on: date) -> float:
        """The hours a term may be deployed."""
        return float(self.figure("ceiling_h.winter" if on.month in WINTER else "ceiling_h.other", on))

    def obligated(self, grid: Grid, market: Market, memory: ErsMemory, calls: Sequence[Call] = ()) -> Sequence[TimePeriod | None]:
        """The time period each interval is obligated under: none any more after the day a term's hours were used up, unless renewed."""
        due, on = list(periods_over(self.periods, grid, market)), days(grid, market)
        for part in self.terms(grid, market, memory, calls):
            for t in range(part.first, part.last):
                due[t] = due[t] if on[t] < part.ends else None
        return due

    def terms(self, grid: Grid, market: Market, memory: ErsMemory, calls: Sequence[Call] = ()) -> list[Term]:
        """The grid cut at the ends of contract periods, of which deployments among `calls` may end one."""
        on, deployed_h = days(grid, market), self.deployed_h(calls, grid)
        cuts = [0, *(t for t in range(1, len(on)) if on[t] != on[t - 1]), len(on)]
        parts: list[Term] = []
        for a, b in zip(cuts, cuts[1:], strict=False):
            begins, ends = self.contract_period(on[a], memory)
            memory = self.recalled(memory, begins)
            memory = replace(memory, deployed_h=memory.deployed_h + float(deployed_h[a:b].sum()))
            if memory.used_up is None and memory.deployed_h >= self.ceiling_h(on[a]):
                memory = replace(memory, used_up=on[a])
                ends = self.after_use(on[a])
            first = parts.pop().first if parts and parts[-1].begins == begins else a
            parts.append(Term(first, b, begins, ends, memory.used_up, ()))
        return [replace(p, ahead=hours_left(self.periods, grid.intervals[p.last - 1].end, p.ends, market)) for p in parts]

    def contract_period(self, on: date, memory: ErsMemory) -> tuple[date, date]:
        """The contract period of a day, [first, last): the term, or the part of it before or after its hours were used up."""
        first, last = self._term(on)
        begun, used_up = memory.term or first, memory.used_up
        first = begun if first <= begun <= on else first
        if used_up is None or not first <= used_up < last:
            return first, last
        after = self.after_use(used_up)
        return (after, last) if self.renewal and on >= after else (first, after)

    def after_use(self, used_up: date) -> date:
        """The first day after a contract period whose hours are used up."""
        return used_up + timedelta(days=int(self.figure("ends_after_days", used_up)))

    def terms_from(self, on: date) -> tuple[tuple[date, date], tuple[date, date]]:
        """The term that holds a day and the next, [first, last) each."""
        here = self._term(on)
        return here, self._term(here[1])

    def _term(self, on: date) -> tuple[date, date]:
        return term(on, str(self.figure("terms", on)))

    def ahead(self, left: Term, number: Any) -> TermTotals:
        """The term's hours after the grid, as far as they are expected to be available."""
        hours = sum(left.ahead)
        gross = sum(
            (number(h) * number(self.mw_of(p)) * number(self.price_of(p)) for h, p in zip(left.ahead, self.periods, strict=True)), number(0)
        )
        return TermTotals(number(hours), number(hours) * number(self.rest_available), gross, number(0), number(0))

    # --- calls ------------------------------------------------------------------------------------------------------------------------

    @property
    def response(self) -> timedelta:
        """From the dispatch to the sustained response."""
        return timedelta(minutes=10 if self.product == "ERS-10" else 30)

    def response_at(self, call: Call) -> datetime:
        """When the sustained response begins: 10 or 30 minutes after the dispatch, no sooner than the call starts."""
        return max(call.start_at, call.notice_at + self.response)

    def sustained(self, call: Call, end: datetime) -> Interval | None:
        """From the beginning of the sustained response to the recall, at most to `end`."""
        start = self.response_at(call)
        last = end if call.end_at is None else min(end, call.end_at)
        return Interval(start, last) if last > start else None

    def left_out(self, calls: Sequence[Call], grid: Grid, memory: ErsMemory) -> NDArray[np.bool_]:
        """The intervals that availability leaves out, shape (n,): those that a deployment or a test touches, from its dispatch to the hour
        by which the load must be ready again."""
        out = np.zeros(len(grid), dtype=bool) if memory.ready_at is None else grid.edges[:-1] < memory.ready_at.timestamp()
        for call in calls_in_force(calls, self.name):
            if call.kind in EVENTS:
                first = (self.response_at(call) - self.response).timestamp()
                last = np.inf if call.end_at is None else self._ready_again(call.end_at).timestamp()
                out |= (grid.edges[1:] > first) & (grid.edges[:-1] < last)
        return out

    def ready_at(self, calls: Sequence[Call], until: datetime, before: datetime | None) -> datetime | None:
        """When the load must be ready again after the events that are over at an instant; `before` is what was known of it so far."""
        ended = [c.end_at for c in calls_in_force(calls, self.name) if c.kind in EVENTS and c.end_at is not None and c.end_at <= until]
        return max([*map(self._ready_again, ended), *([before] if before else [])], default=None)

    def _ready_again(self, recall: datetime) -> datetime:
        return recall + timedelta(hours=float(self.figure("return_h", recall.date())))

    def deployments(self, calls: Sequence[Call], over: Interval) -> list[Interval]:
        """The sustained responses to deployments in an interval; those that overlap are one."""
        found = [self.sustained(c, over.end) for c in calls_in_force(calls, self.name) if c.kind is CallKind.DEPLOY]
        return merged(span for span in found if span is not None and span.overlaps(over))

    def deployed_h(self, calls: Sequence[Call], grid: Grid) -> NDArray[np.float64]:
        """Hours of sustained response to deployments in each interval, shape (n,)."""
        hours = np.zeros(len(grid))
        for inside in shares(self.deployments(calls, grid.over), grid.intervals):
            for t, seconds, _ in inside:
                hours[t] += seconds / 3600.0
        return hours

    def failed_tests(self, tests: Iterable[ErsTest], at: datetime) -> int:
        """Failed tests in a row, the last of them ended by an instant, in the days before it that count."""
        on = at.date()
        since = at - timedelta(days=float(self.figure("failed_tests_days", on)))
        failed = 0
        for test in sorted(tests, key=lambda t: t.started_at):
            passed = self.passed(test, at)
            if passed is not None and test.started_at > since:
                failed = 0 if passed else failed + 1
        return failed

    def passed(self, test: ErsTest, at: datetime) -> bool | None:
        """Whether a test was passed; None when it has not ended by an instant, or nothing of it was metered."""
        if test.ends_at is None or test.ends_at > at or not test.weight:
            return None
        return test.done >= (float(self.figure("event_full", test.started_at.date())) - ROUNDING) * test.weight

    def pays_nothing(self, tests: Iterable[ErsTest], at: datetime) -> bool:
        """Whether so many tests failed in a row that nothing of the term is paid."""
        return self.failed_tests(tests, at) >= int(self.figure("failed_tests", at.date()))

    # --- what a contract period is worth -----------------------------------------------------------------------------------------------

    def recalled(self, memory: ErsMemory, begins: date) -> ErsMemory:
        """The memory of the contract period that begins on a day: nothing but events that are over where it speaks of another one."""
        if memory.term in (None, begins):
            return replace(memory, term=begins)
        return memory.emptied(term=begins, tests=memory.tests, ready_at=memory.ready_at)

    def so_far(self, memory: ErsMemory, number: Any) -> TermTotals:
        totals = memory.obligated_h, memory.available_h, memory.gross_usd, memory.event_weight, memory.event_done
        return TermTotals(*map(number, totals))

    def worth(self, part: Term, totals: TermTotals, nothing: bool) -> Decimal:
        """Dollars of the term so far, what is ahead taken as expected; none where tests failed. By the figures of the day it began."""
        whole, on = totals.plus(self.ahead(part, decimal)), part.begins
        if nothing or not totals.gross_usd:
            return Decimal(0)
        pay: Decimal = totals.gross_usd
        if whole.obligated_h:
            full, low = decimal(self.figure("availability_full", on)), decimal(self.figure("availability_low", on))
            pay = pay * availability_pay(whole.available_h / whole.obligated_h, full, low)
        if totals.event_weight:
            full, power = decimal(self.figure("event_full", on)), decimal(self.figure("event_power", on))
            pay = pay * event_pay(totals.event_done / totals.event_weight, full, power)
        return pay
