"""Emergency Response Service (ERCOT): MW promised to be dropped in 10 or 30 minutes, paid by the hour of being there.

    pay of a term = sum of MW x price x hours  x  g(AF) x g(EPF) x test factor                  Nodal Protocols 8.1.3, 6.6.11
    AF   hours in which load >= MBL + 0.95 MW, of the hours obligated (all periods; events left out)
    EPF  performance of the interval, clip((MBL + MW - load) / MW, 0, 1), weighted over the sustained response period

A span pays what the term is worth after it less what it was worth before, what is still ahead taken as available. Deployments that use
up the term's hours end the obligation with that day, or begin it anew where renewal was chosen: then each of the two is paid by factors of
its own. `memory` holds the contract period before the grid: term (its first day), obligated_h, available_h, gross_usd, event_weight,
event_done, deployed_h, used_up (the day its hours were), failed_tests, baseline_mw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from markets.facts import Call, CallKind
from markets.grid import Grid, Interval, Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import active, calls_in_force
from optimizer.domain.contract_standing import ContractProgress
from optimizer.domain.market_rules import days, rule
from optimizer.domain.money import Line, decimal
from optimizer.domain.obligation import Bounds, Charge, Quantities
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.site import Fraction, NotNegative, Positive, Site
from optimizer.obligations.contract import Contract
from optimizer.obligations.ers.calendar import Tally, TimePeriod, availability_pay, event_pay, hours_left, period_at, periods_over, term
from optimizer.obligations.ers.columns import explain_standby, stand_by
from optimizer.obligations.ers.performance import Performed, Term

INF = float("inf")
TERM, DEPLOYED_H, USED_UP = "term", "deployed_h", "used_up"
TALLIED = ("obligated_h", "available_h", "gross_usd", "event_weight", "event_done")
WINTER = (12, 1, 2, 3)


class Ers(Contract):
    """ERS-10 or ERS-30 on a meter of its own.

    mw, usd_per_mw_hour   obligation and price of every period that has none of its own
    max_base_load_mw      MBL: what may still run when deployed (alternate baseline)
    baseline              "alternate": judged by MBL; "default": by the baseline ERCOT made before the event (memory: baseline_mw)
    periods               when it is obligated
    rest_available        share of the hours still ahead in the term that will be available
    renewal               obligated anew for the rest of a term whose hours are used up
    """

    type: ClassVar[str] = "ers"
    stands_on: ClassVar[tuple[str, ...]] = ("ercot.ers.",)
    name: str = "ers"
    product: Literal["ERS-10", "ERS-30"]
    mw: Positive = Field(ge=0.1)
    max_base_load_mw: NotNegative = 0.0
    usd_per_mw_hour: NotNegative
    baseline: Literal["alternate", "default"] = "alternate"
    periods: tuple[TimePeriod, ...] = Field(min_length=1)
    rest_available: Fraction = 1.0
    renewal: bool = False

    @property
    def remembers_days(self) -> int:
        """The longest term, June to September."""
        return 122

    # --- figures ----------------------------------------------------------------------------------------------------------------------

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

    def obligated(self, grid: Grid, market: Market, memory: Mapping[str, Any]) -> Sequence[TimePeriod | None]:
        """The time period each interval is obligated under: none any more after the day a term's hours were used up, unless renewed."""
        due, used_up = periods_over(self.periods, grid, market), self.used_up(memory)
        if used_up is None or self.renewal:
            return due
        after, end = self._after_use(used_up), self._term(used_up)[1]
        return [None if after <= day < end else period for day, period in zip(days(grid, market), due, strict=True)]

    def terms(self, grid: Grid, market: Market, memory: Mapping[str, Any]) -> list[Term]:
        """The grid cut at the ends of contract periods."""
        on = days(grid, market)
        by_day = {day: self.contract_period(day, memory) for day in dict.fromkeys(on)}
        spans = [by_day[day] for day in on]
        cuts = [0, *(t for t in range(1, len(on)) if spans[t] != spans[t - 1]), len(on)]
        return [
            Term(a, b, on[a], hours_left(self.periods, grid.intervals[b - 1].end, spans[a][1], market), spans[a][0])
            for a, b in zip(cuts, cuts[1:], strict=False)
        ]

    def contract_period(self, on: date, memory: Mapping[str, Any]) -> tuple[date, date]:
        """The contract period of a day, [first, last): the term, or the part of it before or after its hours were used up."""
        first, last = self._term(on)
        begun, used_up = date.fromisoformat(memory.get(TERM, first.isoformat())), self.used_up(memory)
        first = begun if first <= begun <= on else first
        if used_up is None or not first <= used_up < last:
            return first, last
        after = self._after_use(used_up)
        return (after, last) if self.renewal and on >= after else (first, after)

    def used_up(self, memory: Mapping[str, Any]) -> date | None:
        """The day on which the hours of a term were used up."""
        return date.fromisoformat(memory[USED_UP]) if USED_UP in memory else None

    def _after_use(self, used_up: date) -> date:
        """The first day after a contract period whose hours are used up."""
        return used_up + timedelta(days=int(self.figure("ends_after_days", used_up)))

    def _term(self, on: date) -> tuple[date, date]:
        return term(on, str(self.figure("terms", on)))

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
        found = [self.sustained(c, grid.end) for c in calls_in_force(calls, self.name) if c.kind is kind]
        return [span for span in found if span is not None and span.overlaps(grid.over)]

    def bounds(self, site: Site, memory: Mapping[str, Any], calls: Sequence[Call], over: Interval) -> Bounds:
        """What the instruction says, and from the sustained response on the maximum base load at most."""
        said = super().bounds(site, memory, calls, over)
        period = period_at(self.periods, over.start, site.market)
        base = self.base_mw(period) if self.baseline == "alternate" else max(0.0, self.baseline_mw(memory, period) - self.mw_of(period))
        for call in calls_in_force(calls, self.name):
            if call.kind not in (CallKind.DEPLOY, CallKind.TEST) or not active(call, over) or base >= said.cap_mw:
                continue
            span = self.sustained(call, over.end)
            if span is not None and span.overlaps(over):
                said = Bounds(0.0, base, True, f"call {call.id} of {call.source}: {self.name} at most {base:.3f} MW")
        return said

    def baseline_mw(self, memory: Mapping[str, Any], period: TimePeriod | None) -> float:
        known = memory.get("baseline_mw")
        return float(known) if known is not None else self.base_mw(period) + self.mw_of(period)

    def performance(self, load_mw: Any, period: TimePeriod | None, part: Any, memory: Mapping[str, Any], number: Any) -> Any:
        """Of an interval of which `part` lies in the sustained response period."""
        mw = number(self.mw_of(period))
        if self.baseline == "default":
            done = (number(self.baseline_mw(memory, period)) - load_mw) / (part * mw)
        else:
            done = (number(self.base_mw(period)) + mw - load_mw) / mw
        return min(max(done, number(0)), number(1))

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        """The offered price of every obligated hour; what factors cut of it is `ers_factors`."""
        due = self.obligated(its.grid, its.site.market, its.memory(self.name))
        zero = its.during(None) * its.number(0)
        mw = zero + np.array([its.number(self.mw_of(p) if p else 0) for p in due], dtype=zero.dtype)
        price = zero + np.array([its.number(self.price_of(p) if p else 0) for p in due], dtype=zero.dtype)
        on = days(its.grid, its.site.market)[0]
        yield Charge("ers_capacity", its.sum([]) + mw * its.hours, "mw_h", price, rule(self._rules, "ercot.ers.terms", on).cited)

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """The price of every obligated hour, and in each term one line for what its factors cut."""
        reader = ActualQuantities.of(actuals)
        yield from lines(self.name, self.charges(reader), reader)
        memory, seen = actuals.memory.get(self.name, {}), Performed.of(self, actuals)
        for part in self.terms(actuals.grid, actuals.site.market, memory):
            before = self.before(self.recalled(memory, part), decimal)
            gained = seen.tally(part, memory)
            failed = seen.failed_tests(part, self.recalled(memory, part))
            was, now = self.worth(part, before, seen.expected(part, memory), 0), self.worth(part, before, gained, failed)
            cut = now - was - gained.gross_usd
            if cut:
                over = Interval(actuals.grid.intervals[part.first].start, actuals.grid.intervals[part.last - 1].end)
                cited = rule(self._rules, "ercot.ers.availability_full", part.on).cited
                yield Line(self.name, "ers_factors", over, cut, "usd", Decimal(1), cut, cited)

    def recalled(self, memory: Mapping[str, Any], part: Term) -> Mapping[str, Any]:
        """The memory of a contract period: nothing where it speaks of another one, failed tests and baseline apart."""
        if memory.get(TERM, part.begins.isoformat()) == part.begins.isoformat():
            return memory
        return {word: memory[word] for word in ("failed_tests", "baseline_mw") if word in memory}

    def remember(self, memory: Mapping[str, Any], then: Actuals) -> Mapping[str, Any]:
        """Its memory after a stretch of time: the tally of the contract period that the stretch ends in, and the hours it was deployed."""
        seen, on = Performed.of(self, then), days(then.grid, then.site.market)
        cuts = [0, *(t for t in range(1, len(on)) if on[t] != on[t - 1]), len(on)]
        for a, b in zip(cuts, cuts[1:], strict=False):
            memory = self._after(memory, seen, Term(a, b, on[a], (), self.contract_period(on[a], memory)[0]))
        return memory

    def _after(self, memory: Mapping[str, Any], seen: Performed, part: Term) -> Mapping[str, Any]:
        """The same after a part of one day."""
        kept = self.recalled(memory, part)
        now = self.before(kept, decimal).plus(seen.tally(part, kept))
        deployed_h = float(kept.get(DEPLOYED_H, 0.0)) + seen.deployed_h(part)
        used_up = {USED_UP: part.on.isoformat()} if USED_UP not in kept and deployed_h >= self.ceiling_h(part.on) else {}
        return {
            **kept,
            TERM: part.begins.isoformat(),
            **{word: float(getattr(now, word)) for word in TALLIED},
            DEPLOYED_H: deployed_h,
            "failed_tests": seen.failed_tests(part, kept),
            **used_up,
        }

    def scores(self, memory: Mapping[str, Any], day: OperatingDay) -> Iterable[ContractProgress]:
        """Hours used of the ceiling, availability so far and failed tests in a row, of the contract period a day lies in."""
        begins, ends = self.contract_period(day.on, memory)
        kept = self.recalled(memory, Term(0, 0, day.on, (), begins))
        have, since = self.before(kept, float), f"since {begins:%-d %B %Y}"
        ceiling = self.ceiling_h(day.on)
        yield ContractProgress(f"{self.name}: deployed", float(kept.get(DEPLOYED_H, 0.0)), "h", f"of at most {ceiling:g} h {since}")
        if have.obligated_h:
            full = 100 * float(self.figure("availability_full", day.on))
            how = f"of {have.obligated_h:g} h obligated {since}; paid in full from {full:g} %"
            yield ContractProgress(f"{self.name}: availability so far", 100 * have.available_h / have.obligated_h, "%", how)
        if have.event_weight:
            full = 100 * float(self.figure("event_full", day.on))
            yield ContractProgress(
                f"{self.name}: performance so far", 100 * have.event_done / have.event_weight, "%", f"of events {since}; {full:g} %"
            )
        most = int(self.figure("failed_tests", day.on))
        yield ContractProgress(
            f"{self.name}: failed tests in a row", int(kept.get("failed_tests", 0)), "tests", f"{most} leave nothing of the term"
        )

    def before(self, memory: Mapping[str, Any], number: Any) -> Tally:
        return Tally(*(number(memory.get(word, 0)) for word in TALLIED))

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

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def shape(self, program: Any) -> None:
        """Its pay with the factors as integers, and its calls."""
        super().shape(program)
        stand_by(self, program)

    def shortfall_usd(self, program: Any, path: Any, short_mw: Any) -> float:
        """What its factors cut of the term's pay on the planned load, in which the event is missed."""
        from optimizer.lp.trajectory import actuals_of

        lines = self.settle(actuals_of(program, path))
        return -min(0.0, float(sum((line.amount_usd for line in lines if line.charge_type == "ers_factors"), Decimal(0))))

    def reasons(self, book: Sequence[Any], program: Any, path: Any) -> Iterable[str]:
        """What availability costs against the price, what is given up for it, and what is left to give up."""
        return explain_standby(self, book, program, path)
