"""Emergency Response Service (ERCOT): MW promised to be dropped in 10 or 30 minutes, paid by the hour of being there.

    pay of a term = sum of MW x price x hours  x  g(AF) x g(EPF) x test factor                  Nodal Protocols 8.1.3, 6.6.11
    AF   hours in which load >= MBL + 0.95 MW, of the hours obligated (all periods; events left out)
    EPF  performance of the interval, clip((MBL + MW - load) / MW, 0, 1), weighted over the sustained response period

A span pays what the term is worth after it less what it was worth before, what is still ahead taken as available. `memory` holds the
term before the grid: term (its first day), obligated_h, available_h, gross_usd, event_weight, event_done, deployed_h, failed_tests,
baseline_mw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from markets.facts import Call, CallKind
from markets.grid import Grid, Interval, Market
from optimizer.actuals import Actuals
from optimizer.contract import Contract
from optimizer.dated import days, rule
from optimizer.emergency import Period, Tally, availability_pay, event_pay, hours_left, period_at, periods_over, shares, term
from optimizer.money import Line, decimal
from optimizer.obligations import Bounds, Charge, Its, active, standing
from optimizer.reader import Reader, lines
from optimizer.site import Fraction, NotNegative, Positive, Site
from optimizer.standby import stand_by, told

INF = float("inf")
TERM, TALLIED = "term", ("obligated_h", "available_h", "gross_usd", "event_weight", "event_done")


@dataclass(frozen=True, slots=True)
class Term:
    """The part of a grid that lies in one contract term: positions [first, last), the hours still ahead of it by period."""

    first: int
    last: int
    on: date
    ahead: tuple[int, ...]


class Ers(Contract):
    """ERS-10 or ERS-30 on a meter of its own.

    mw, usd_per_mw_hour   obligation and price of every period that has none of its own
    max_base_load_mw      MBL: what may still run when deployed (alternate baseline)
    baseline              "alternate": judged by MBL; "default": by the baseline ERCOT made before the event (memory: baseline_mw)
    periods               when it is obligated
    rest_available        share of the hours still ahead in the term that will be available
    """

    type: ClassVar[str] = "ers"
    stands_on: ClassVar[tuple[str, ...]] = ("ercot.ers.",)
    name: str = "ers"
    product: Literal["ERS-10", "ERS-30"]
    mw: Positive = Field(ge=0.1)
    max_base_load_mw: NotNegative = 0.0
    usd_per_mw_hour: NotNegative
    baseline: Literal["alternate", "default"] = "alternate"
    periods: tuple[Period, ...] = Field(min_length=1)
    rest_available: Fraction = 1.0

    @property
    def remembers_days(self) -> int:
        """The longest term, June to September."""
        return 122

    # --- figures ----------------------------------------------------------------------------------------------------------------------

    def figure(self, word: str, on: date) -> Any:
        return rule(self._rules, f"ercot.ers.{word}", on).value

    def mw_of(self, period: Period | None) -> float:
        return self.mw if period is None or period.mw is None else period.mw

    def price_of(self, period: Period) -> float:
        return self.usd_per_mw_hour if period.usd_per_mw_hour is None else period.usd_per_mw_hour

    def base_mw(self, period: Period | None) -> float:
        if self.baseline == "default":
            return 0.0
        return self.max_base_load_mw if period is None or period.max_base_load_mw is None else period.max_base_load_mw

    def threshold_mw(self, period: Period, on: date) -> float:
        """The load from which on an interval counts as available."""
        return float(decimal(self.base_mw(period)) + decimal(self.figure("available_share", on)) * decimal(self.mw_of(period)))

    def thresholds_mw(self, due: Sequence[Period | None], on: date) -> list[float]:
        """The same of each interval; zero where nothing is due."""
        known = {id(p): self.threshold_mw(p, on) for p in {id(p): p for p in due if p}.values()}
        return [known[id(p)] if p else 0.0 for p in due]

    def obligated(self, grid: Grid, market: Market) -> Sequence[Period | None]:
        return periods_over(self.periods, grid, market)

    def terms(self, grid: Grid, market: Market) -> list[Term]:
        """The grid cut at the ends of contract terms."""
        on = days(grid, market)
        by_day = {day: term(day, str(self.figure("terms", day))) for day in dict.fromkeys(on)}
        spans = [by_day[day] for day in on]
        cuts = [0, *(t for t in range(1, len(on)) if spans[t] != spans[t - 1]), len(on)]
        return [
            Term(a, b, on[a], hours_left(self.periods, grid.intervals[b - 1].end, spans[a][1], market))
            for a, b in zip(cuts, cuts[1:], strict=False)
        ]

    def ahead(self, left: Term, number: Any) -> Tally:
        """The term's hours after the grid, as far as they are expected to be available."""
        hours = sum(left.ahead)
        gross = sum(
            (number(h) * number(self.mw_of(p)) * number(self.price_of(p)) for h, p in zip(left.ahead, self.periods, strict=True)), number(0)
        )
        return Tally(number(hours), number(hours) * number(self.rest_available), gross, number(0), number(0))

    # --- calls ------------------------------------------------------------------------------------------------------------------------

    def sustained(self, call: Call, end: Any) -> Interval | None:
        """From 10 or 30 minutes after the dispatch to the recall."""
        start = call.notice_at + timedelta(minutes=10 if self.product == "ERS-10" else 30)
        last = end if call.end_at is None else min(end, call.end_at)
        return Interval(start, last) if last > start else None

    def events(self, calls: Sequence[Call], kind: CallKind, grid: Grid) -> list[Interval]:
        found = [self.sustained(c, grid.end) for c in standing(calls, self.name) if c.kind is kind]
        return [span for span in found if span is not None and span.overlaps(grid.over)]

    def bounds(self, site: Site, memory: Mapping[str, Any], calls: Sequence[Call], over: Interval) -> Bounds:
        """What the instruction says, and from the sustained response on the maximum base load at most."""
        said = super().bounds(site, memory, calls, over)
        period = period_at(self.periods, over.start, site.market)
        base = self.base_mw(period) if self.baseline == "alternate" else max(0.0, self.baseline_mw(memory, period) - self.mw_of(period))
        for call in standing(calls, self.name):
            if call.kind not in (CallKind.DEPLOY, CallKind.TEST) or not active(call, over) or base >= said.cap_mw:
                continue
            span = self.sustained(call, over.end)
            if span is not None and span.overlaps(over):
                said = Bounds(0.0, base, True, f"call {call.id} of {call.source}: {self.name} at most {base:.3f} MW")
        return said

    def baseline_mw(self, memory: Mapping[str, Any], period: Period | None) -> float:
        known = memory.get("baseline_mw")
        return float(known) if known is not None else self.base_mw(period) + self.mw_of(period)

    def performance(self, load_mw: Any, period: Period | None, part: Any, memory: Mapping[str, Any], number: Any) -> Any:
        """Of an interval of which `part` lies in the sustained response period."""
        mw = number(self.mw_of(period))
        if self.baseline == "default":
            done = (number(self.baseline_mw(memory, period)) - load_mw) / (part * mw)
        else:
            done = (number(self.base_mw(period)) + mw - load_mw) / mw
        return min(max(done, number(0)), number(1))

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def charges(self, its: Its[Any]) -> Iterable[Charge[Any]]:
        """The offered price of every obligated hour; what factors cut of it is `ers_factors`."""
        due = self.obligated(its.grid, its.site.market)
        zero = its.during(None) * its.number(0)
        mw = zero + np.array([its.number(self.mw_of(p) if p else 0) for p in due], dtype=zero.dtype)
        price = zero + np.array([its.number(self.price_of(p) if p else 0) for p in due], dtype=zero.dtype)
        on = days(its.grid, its.site.market)[0]
        yield Charge("ers_capacity", its.sum([]) + mw * its.hours, "mw_h", price, rule(self._rules, "ercot.ers.terms", on).cited)

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """The price of every obligated hour, and in each term one line for what its factors cut."""
        reader = Reader.of(actuals)
        yield from lines(self.name, self.charges(reader), reader)
        memory = actuals.memory.get(self.name, {})
        for part in self.terms(actuals.grid, actuals.site.market):
            before = self.before(self.recalled(memory, part), decimal)
            gained = self.tally(actuals, part, memory)
            failed = self._failed_tests(actuals, part, self.recalled(memory, part))
            was, now = self.worth(part, before, self._empty(part, actuals), 0), self.worth(part, before, gained, failed)
            cut = now - was - gained.gross_usd
            if cut:
                over = Interval(actuals.grid.intervals[part.first].start, actuals.grid.intervals[part.last - 1].end)
                cited = rule(self._rules, "ercot.ers.availability_full", part.on).cited
                yield Line(self.name, "ers_factors", over, cut, "usd", Decimal(1), cut, cited)

    def recalled(self, memory: Mapping[str, Any], part: Term) -> Mapping[str, Any]:
        """The memory of a term: nothing where it speaks of another one, failed tests and baseline apart."""
        if memory.get(TERM, self._term(part)) == self._term(part):
            return memory
        return {word: memory[word] for word in ("failed_tests", "baseline_mw") if word in memory}

    def remember(self, memory: Mapping[str, Any], then: Actuals) -> Mapping[str, Any]:
        """Its memory after a stretch of time: the tally of the term that the stretch ends in, and the hours it was deployed."""
        part = self.terms(then.grid, then.site.market)[-1]
        kept = self.recalled(memory, part)
        now = self.before(kept, decimal).plus(self.tally(then, part, kept))
        spans = shares(self.events(then.calls, CallKind.DEPLOY, then.grid), then.grid.intervals)
        deployed_s = sum(seconds for inside in spans for t, seconds, _ in inside if part.first <= t < part.last)
        return {
            **kept,
            TERM: self._term(part),
            **{word: float(getattr(now, word)) for word in TALLIED},
            "deployed_h": float(kept.get("deployed_h", 0.0)) + deployed_s / 3600.0,
            "failed_tests": self._failed_tests(then, part, kept),
        }

    def _term(self, part: Term) -> str:
        return term(part.on, str(self.figure("terms", part.on)))[0].isoformat()

    def before(self, memory: Mapping[str, Any], number: Any) -> Tally:
        return Tally(*(number(memory.get(word, 0)) for word in TALLIED))

    def _empty(self, part: Term, actuals: Actuals) -> Tally:
        """The grid's hours as they are expected before it: available, without an event, nothing earned yet."""
        due, hours = self.obligated(actuals.grid, actuals.site.market), Reader.of(actuals).hours
        total = sum((hours[t] for t in range(part.first, part.last) if due[t]), Decimal(0))
        return Tally(total, total * decimal(self.rest_available), Decimal(0), Decimal(0), Decimal(0))

    def worth(self, part: Term, before: Tally, gained: Tally, failed: int) -> Decimal:
        """Dollars of the term so far, what is ahead taken as expected."""
        here = before.plus(gained)
        whole = here.plus(self.ahead(part, decimal))
        if failed >= int(self.figure("failed_tests", part.on)) or not here.gross_usd:
            return Decimal(0)
        pay: Decimal = here.gross_usd
        if whole.obligated_h:
            full, low = decimal(self.figure("availability_full", part.on)), decimal(self.figure("availability_low", part.on))
            pay = pay * availability_pay(whole.available_h / whole.obligated_h, full, low)
        if here.event_weight:
            full, power = decimal(self.figure("event_full", part.on)), decimal(self.figure("event_power", part.on))
            pay = pay * event_pay(here.event_done / here.event_weight, full, power)
        return pay

    def tally(self, actuals: Actuals, part: Term, memory: Mapping[str, Any]) -> Tally:
        """What a stretch of the grid adds to its term. An interval without a reading is neither obligated nor available."""
        market, hours = actuals.site.market, Reader.of(actuals).hours
        due, load = self.obligated(actuals.grid, market), self._load_mw(actuals, hours)
        weight, done, seen = self._events(actuals, load, due, memory, CallKind.DEPLOY, part)
        obligated, available, gross = Decimal(0), Decimal(0), Decimal(0)
        needed = self.thresholds_mw(due, part.on)
        for t in range(part.first, part.last):
            period = due[t]
            if period is None:
                continue
            gross += hours[t] * decimal(self.mw_of(period)) * decimal(self.price_of(period))
            if t in seen or load[t].is_nan():
                continue
            obligated += hours[t]
            if load[t] >= decimal(needed[t]):
                available += hours[t]
        return Tally(obligated, available, gross, weight, done)

    def _load_mw(self, actuals: Actuals, hours: Any) -> list[Decimal]:
        names = self.scope.names(actuals.site)
        return [sum((actuals.energy_mwh[g][t] for g in names), Decimal(0)) / hours[t] for t in range(len(actuals.grid))]

    def _events(
        self, actuals: Actuals, load: Sequence[Decimal], due: Sequence[Period | None], memory: Mapping[str, Any], kind: CallKind, part: Term
    ) -> tuple[Decimal, Decimal, set[int]]:
        weight, done, seen = Decimal(0), Decimal(0), set()
        for inside in shares(self.events(actuals.calls, kind, actuals.grid), actuals.grid.intervals):
            for t, seconds, whole in inside:
                if not part.first <= t < part.last or load[t].is_nan():
                    continue
                share = Decimal(seconds) / Decimal(whole)
                seen.add(t)
                weight += share
                done += share * self.performance(load[t], due[t], share, memory, decimal)
        return weight, done, seen

    def _failed_tests(self, actuals: Actuals, part: Term, memory: Mapping[str, Any]) -> int:
        """Failed tests in a row, those before the grid included."""
        failed = int(memory.get("failed_tests", 0))
        hours = Reader.of(actuals).hours
        load, due = self._load_mw(actuals, hours), self.obligated(actuals.grid, actuals.site.market)
        for call in sorted((c for c in standing(actuals.calls, self.name) if c.kind is CallKind.TEST), key=lambda c: c.start_at):
            alone = Actuals(actuals.site, actuals.grid, actuals.energy_mwh, {}, {}, (), calls=(call,))
            weight, done, _ = self._events(alone, load, due, memory, CallKind.TEST, part)
            if weight:
                failed = 0 if done / weight >= decimal(self.figure("event_full", part.on)) else failed + 1
        return failed

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def shape(self, program: Any) -> None:
        """Its pay with the factors as integers, and its calls."""
        super().shape(program)
        stand_by(self, program)

    def shortfall_usd(self, program: Any, path: Any, short_mw: Any) -> float:
        """What its factors cut of the term's pay on the planned load, in which the event is missed."""
        from optimizer.trajectory import actuals_of

        lines = self.settle(actuals_of(program, path))
        return -min(0.0, float(sum((line.amount_usd for line in lines if line.charge_type == "ers_factors"), Decimal(0))))

    def reasons(self, book: Sequence[Any], program: Any, path: Any) -> Iterable[str]:
        """What availability costs against the price, what is given up for it, and what is left to give up."""
        return told(self, book, program, path)
