"""Emergency Response Service (ERCOT): MW promised to be dropped in 10 or 30 minutes, paid by the hour of availability.

    pay of a term = sum of MW x price x hours  x  g(AF) x g(EPF) x test factor                  Nodal Protocols 8.1.3, 6.6.11
    AF   hours in which load >= MBL + 0.95 MW, of the hours obligated (all periods; deployments, tests and the hours after them left out)
    EPF  performance of the interval, clip((MBL + MW - load) / MW, 0, 1), weighted over the sustained response period

A span pays what the term is worth after it, hours still ahead taken as available, less what bills gave it before: the spans of a term add
up to it however it is cut, and hours that nobody ran between two of them are settled with the later one. A test is judged when it has
ended, by all of its intervals. Overlapping deployments are one event; one that lasts beyond a term counts in each of the two terms by
its intervals there. Deployments that use up the term's hours end the obligation with that day, or begin it anew where renewal was chosen:
then each of the two is paid by factors of its own.

Market rules: docs/rules.md#ers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from markets.facts import Call, CallKind
from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.award_terms import AwardTerms, baseline_terms
from optimizer.domain.call_performance import CallPerformance
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.calls import active, calls_in_force, instructed
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.market_rules import days, rule
from optimizer.domain.money import Finding, Line, decimal
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.season_promise import SeasonPromise
from optimizer.domain.site import Site
from optimizer.domain.time_periods import period_at
from optimizer.obligations.ers.calendar import hours_left
from optimizer.obligations.ers.columns import add_standby, explain_standby
from optimizer.obligations.ers.memory import ErsMemory, Term
from optimizer.obligations.ers.performance import Performed, weighed
from optimizer.obligations.ers.terms import ErsTerms

PERFORMANCE = "EPF = sum of share x clip((baseline - load) / obligation, 0, 1) / sum of shares, over the sustained response"

EXCLUDES = {
    "ers": "two contracts promise the same rigs to ERS (ERCOT Nodal Protocols 3.14.3: a resource has one obligation)",
    "ancillary": "a MW may not be ERS and ancillary service in the same interval (ERCOT Nodal Protocols 3.14.3)",
}


class Ers(ErsTerms):
    """ERS-10 or ERS-30 on a meter of its own; the keys of the site file are those of `ErsTerms`."""

    type: ClassVar[str] = "ers"
    charge_types: ClassVar[tuple[str, ...]] = ("ers_capacity", "ers_factors")

    def award_terms(self, site: Site) -> Mapping[str, AwardTerms]:
        return baseline_terms(site, self.scope) if self.baseline == "default" else {}

    def season_promises(self, on: date, market: Market) -> Iterable[SeasonPromise]:
        """By time period, of the term that holds the day and of the next."""
        for begins, ends in self.terms_from(on):
            first = datetime(begins.year, begins.month, begins.day, tzinfo=market.tz)
            most = f"at most {self.ceiling_h(begins):g} h deployed"
            for period, hours in zip(self.periods, hours_left(self.periods, first, ends, market), strict=True):
                figures = self.mw_of(period), self.base_mw(period), self.price_of(period), "usd_per_mw_h", self.response.total_seconds()
                if hours:
                    yield SeasonPromise(self.product, begins, ends, period.name, hours, *figures, most)

    def market(self) -> Market | None:
        return Market.ERCOT

    def service(self) -> str:
        return "ers"

    def excludes(self) -> Mapping[str, str]:
        return EXCLUDES

    def promised_mw(self) -> float:
        return self.mw

    def call_terms(self, on: date) -> CallTerms:
        """Sustained from ten or thirty minutes after the dispatch until the recall, and ready again hours later."""
        stays_mw = self.max_base_load_mw if self.baseline_mw is None else self.baseline_mw - self.mw
        paid_in_full = rule(self._rules, "ercot.ers.event_full", on)
        return CallTerms(
            self.response.total_seconds() / 60.0,
            from_notice=True,
            stays_mw=stays_mw,
            sustain_h=self.ceiling_h(on),
            missing_share=1.0 - float(paid_in_full.value),
            restore_h=float(self.figure("return_h", on)),
            rule=paid_in_full.cited,
        )

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance:
        """Its performance factor over the sustained response, by the functions of the bill."""
        span, on = self.sustained(call, actuals.grid.end), OperatingDay.of(actuals.site.market, call.start_at).on
        seen = Performed.of(self, actuals, self.memory_from(actuals.memory))
        judged = list(seen.judged([span] if span is not None else []))
        weight, done = weighed(judged)
        full = rule(self._rules, "ercot.ers.event_full", on)
        least = decimal(float(full.value))
        return CallPerformance(PERFORMANCE, full.cited, done / weight if weight else None, least, None, judged)

    def needs_own_meter(self) -> bool:
        return True

    def bounds(self, site: Site, memory: ErsMemory, calls: Sequence[Call], over: Interval) -> Bounds:
        """What the instruction says, and from the sustained response on the maximum base load at most. An instruction to go to
        0 MW, and a reduction below the base load, ask for all that is sold: the base load may stay."""
        period = period_at(self.periods, over.start, site.market)
        base = self.base_mw(period)
        if self.baseline_mw is not None:
            base = max(0.0, memory.baseline_mw(over, self.baseline_mw) - self.mw_of(period))
        calls = [_down_to(base, call, memory) if call.obligation == self.name else call for call in calls]
        said = super().bounds(site, memory, calls, over)
        for call in calls_in_force(calls, self.name):
            if call.kind not in (CallKind.DEPLOY, CallKind.TEST) or not active(call, over):
                continue
            span = self.sustained(call, over.end)
            if span is not None and span.overlaps(over) and base < said.cap_mw:
                said = instructed(call, self.name, 0.0, base)
        return said

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        """The offered price of every obligated hour; what factors cut of it is `ers_factors`."""
        due = self.obligated(its.grid, its.site.market, self.memory_from(its.memories), its.calls_of(self.name))
        zero = its.during(None) * its.number(0)
        mw = zero + np.array([its.number(self.mw_of(p) if p else 0) for p in due], dtype=zero.dtype)
        price = zero + np.array([its.number(self.price_of(p) if p else 0) for p in due], dtype=zero.dtype)
        on = days(its.grid, its.site.market)[0]
        yield Charge("ers_capacity", its.sum([]) + mw * its.hours, "mw_h", price, rule(self._rules, "ercot.ers.terms", on).cited)

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """The price of every obligated hour, and in each term one line for what its factors cut."""
        reader = ActualQuantities.of(actuals)
        yield from lines(self.name, self.charges(reader), reader)
        memory = self.memory_from(actuals.memory)
        seen = Performed.of(self, actuals, memory)
        for part in seen.parts:
            memory, cut = self._after(memory, seen, part)
            if cut:
                cited = rule(self._rules, "ercot.ers.availability_full", part.begins).cited
                yield Line(self.name, "ers_factors", seen.over(part), cut, "usd", Decimal(1), cut, cited)

    def remember(self, memory: ErsMemory, then: Actuals) -> ErsMemory:
        """Its memory after a stretch of time: the tally of the contract period that the stretch ends in, and the hours it was deployed."""
        seen = Performed.of(self, then, memory)
        for part in seen.parts:
            memory, _ = self._after(memory, seen, part)
        return memory

    def _after(self, memory: ErsMemory, seen: Performed, part: Term) -> tuple[ErsMemory, Decimal]:
        """The memory after a part of a grid, and what factors cut: dollars that the part adds to the worth of its contract period, less
        those at the offered price."""
        kept, until = self.recalled(memory, part.begins), seen.over(part).end
        gained, tests = seen.tally(part), seen.tests(part, kept)
        now = self.so_far(kept, decimal).plus(gained)
        worth = self.worth(part, now, self.pays_nothing(tests.values(), until))
        since = until - timedelta(days=float(self.figure("failed_tests_days", until.date())))
        after = replace(
            kept,
            obligated_h=float(now.obligated_h),
            available_h=float(now.available_h),
            gross_usd=float(now.gross_usd),
            event_weight=float(now.event_weight),
            event_done=float(now.event_done),
            worth_usd=float(worth),
            deployed_h=kept.deployed_h + seen.deployed_h(part),
            used_up=part.used_up,
            tests={id_: test for id_, test in tests.items() if test.started_at > since},
            ready_at=self.ready_at(seen.actuals.calls, until, kept.ready_at),
        )
        return after, worth - decimal(kept.worth_usd) - gained.gross_usd

    def progress(self, memory: ErsMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """Hours used of the ceiling, availability so far and failed tests in a row, of the contract period a day lies in."""
        begins, ends = self.contract_period(day.on, memory)
        kept = self.recalled(memory, begins)
        have, since = self.so_far(kept, float), f"since {begins:%-d %B %Y}"
        ceiling = self.ceiling_h(day.on)
        yield ContractProgress(f"{self.name}: deployed", kept.deployed_h, "h", f"of at most {ceiling:g} h {since}")
        if have.obligated_h:
            full = 100 * float(self.figure("availability_full", day.on))
            how = f"of {have.obligated_h:g} h obligated {since}; paid in full from {full:g} %"
            yield ContractProgress(f"{self.name}: availability so far", 100 * have.available_h / have.obligated_h, "%", how)
        if have.event_weight:
            full = 100 * float(self.figure("event_full", day.on))
            yield ContractProgress(
                f"{self.name}: performance so far", 100 * have.event_done / have.event_weight, "%", f"of events {since}; {full:g} %"
            )
        most, over_days = int(self.figure("failed_tests", day.on)), int(self.figure("failed_tests_days", day.on))
        failed, how = self.failed_tests(kept.tests.values(), day.end), f"within {over_days} days; {most} leave nothing of the term"
        yield ContractProgress(f"{self.name}: failed tests in a row", failed, "tests", how)

    def findings(self, before: ErsMemory, after: ErsMemory, day: OperatingDay) -> Iterable[Finding]:
        """Tests that the day judged as failed, and that they leave nothing of the term."""
        had = {id_ for id_, test in before.tests.items() if self.passed(test, day.start) is False}
        new = {id_ for id_, test in after.tests.items() if self.passed(test, day.end) is False} - had
        failed = self.failed_tests(after.tests.values(), day.end)
        for id_ in sorted(new):
            yield Finding("strike", f"{self.name}: test {id_} was failed; {failed} in a row")
        if new and self.pays_nothing(after.tests.values(), day.end):
            yield Finding("disqualified", f"{self.name}: {failed} failed tests in a row leave nothing of the term's pay")

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def shape(self, program: Any) -> None:
        """Its pay with the factors as integers, and its calls."""
        super().shape(program)
        add_standby(self, program)

    def shortfall_usd(self, program: Any, path: Any, short_mw: Any) -> float:
        """What its factors cut of the term's pay on the planned load, in which the event is missed."""
        from optimizer.lp.trajectory import actuals_of

        lines = self.settle(actuals_of(program, path))
        return -min(0.0, float(sum((line.amount_usd for line in lines if line.charge_type == "ers_factors"), Decimal(0))))

    def reasons(self, book: Sequence[Any], program: Any, path: Any) -> Iterable[str]:
        """What availability costs against the price, what is given up for it, and what is left to give up."""
        return explain_standby(self, book, program, path)


def _down_to(base_mw: float, call: Call, memory: ErsMemory) -> Call:
    """The call, asking for no less load than the base load where it says 0 MW or a reduction."""
    if call.mw_delta is not None and call.id in memory.load_before_mw:
        return replace(call, mw_delta=None, mw_cap=max(base_mw, memory.load_before_mw[call.id] - abs(call.mw_delta)))
    return replace(call, mw_cap=base_mw) if call.mw_cap == 0 else call
