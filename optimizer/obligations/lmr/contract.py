"""Load-modifying resource (MISO): load promised to be dropped in an emergency, paid by the season as capacity (docs/rules.md#lmr).

credit     = ZRC x days x the auction's $/MW-day of the season                          MISO Tariff, Module E-1 (BPM-011)
due        from the instruction plus the registered notice to its recall: load <= firm service level, or <= baseline - mw
missing    = max(0, load - that), costs real-time LMP + a share of RSG, and its part of so many days of credit
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar

import numpy as np

from markets.facts import Call, CallKind
from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.call_performance import CallPerformance, Reduction, worst_interval
from optimizer.domain.calls import calls_in_force
from optimizer.domain.capacity_seasons import cited, cleared, season, season_start
from optimizer.domain.contract_progress import ContractProgress
from optimizer.domain.deployments import HOUR, METER_SHARE, Loads, bounded, clock_hour, declared, due, positive, share, spans
from optimizer.domain.formula import Bounds, Charge, Quantities, per_interval
from optimizer.domain.gap_intervals import stretches
from optimizer.domain.market_rules import days, figures, rule
from optimizer.domain.money import Finding, UnknownCharge, decimal
from optimizer.domain.quantities import ActualQuantities
from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import Site, meters_in
from optimizer.lp.arrays import Yields
from optimizer.obligations.lmr.memory import UNTIL_PASSED, LmrMemory, LoadAtTest
from optimizer.obligations.lmr.season import days_left
from optimizer.obligations.lmr.terms import CREDIT, LmrTerms

KEPT_HOURS = 3


class Lmr(LmrTerms):
    """A load-modifying resource on a meter of its own; the keys of the site file are those of `LmrTerms`."""

    type: ClassVar[str] = "lmr"
    charge_types: ClassVar[tuple[str, ...]] = ("lmr_capacity", "lmr_shortfall", "lmr_forfeit")

    def call_performance(self, call: Call, actuals: Actuals) -> CallPerformance | None:
        """What was missing of the registered reduction in each interval that an instruction was due in, by the functions of the bill."""
        its, span = ActualQuantities.of(actuals), due(call, self.notice_min)
        if span is None or not span.overlaps(its.grid.over):
            return None
        within = share(its, [span])
        asked = within * its.hours * its.number(self.mw)
        load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])
        base = self._stays_mw(its) + its.number(self.mw)
        reduction = Reduction(its.grid.intervals, within, load, base, asked, asked - self._missing(its, within))
        cited = rule(self._rules, "miso.lmr.least_h", _day(span.start, its.site.market)).cited
        return worst_interval(reduction, cited, decimal(METER_SHARE))

    def bounds(self, site: Site, memory: LmrMemory, calls: Sequence[Call], over: Interval) -> Bounds:
        """What the instruction says, and where it is due the firm service level at most."""
        said = super().bounds(site, memory, calls, over)
        most = self.most_mw if self.baseline_mw is None else max(0.0, memory.baseline_mw(over, self.baseline_mw) - self.mw)
        return bounded(said, calls, self.name, over, most, self.notice_min, self.lead_min)

    # --- money ------------------------------------------------------------------------------------------------------------------------

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        market = its.site.market
        on = days(its.grid, market)
        credit, zero = self._credit(its, on), its.during(None) * its.number(0)
        usd = per_interval(its, cleared(self._rules, self.zone, self.usd_per_mw_day, its.grid, market))
        paid = cited(self._rules, self.zone, self.usd_per_mw_day, on[0])
        yield Charge("lmr_capacity", its.sum([]) + credit * its.hours / its.number(24), "mw_day", usd, paid)
        called = spans(its.calls_of(self.name), CallKind.DEPLOY, self.notice_min, its.grid.over)
        if not called:
            return
        missing = self._missing(its, share(its, [span for _, span in called]))
        point = next(m.settlement_point for m, _ in meters_in(its.site, self.scope))
        price = positive(its.energy_price(point) + self._rsg(its, zero), its.number(0))
        yield Charge("lmr_shortfall", missing, "mwh", -price, rule(self._rules, "miso.lmr.rsg_usd_per_mwh", on[0]).cited, point)
        lost = self._forfeit(its, called, credit * usd)
        # A credit that nobody knows forfeits what nobody knows (`unknown_charges`).
        known = missing * per_interval(its, [0 if self._credited_mw(day) is None else 1 for day in on])
        yield Charge("lmr_forfeit", known, "mwh", -lost, f"{rule(self._rules, 'miso.lmr.forfeit_days', on[0]).cited}; {paid}")

    def unknown_charges(self, actuals: Actuals) -> Iterable[UnknownCharge]:
        """Its credit of the days on which only an accreditation that the site file does not state says it, and what that forfeits."""
        its, market = ActualQuantities.of(actuals), actuals.site.market
        unknown = np.array([self._credited_mw(day) is None for day in days(its.grid, market)]) & ~its.in_gap()
        if not unknown.any():
            return
        called = spans(its.calls_of(self.name), CallKind.DEPLOY, self.notice_min, its.grid.over)
        missed = np.array([bool(mwh == mwh and mwh > 0) for mwh in self._missing(its, share(its, [span for _, span in called]))])
        for charge, unit, where in (("lmr_capacity", "mw_day", unknown), ("lmr_forfeit", "mwh", unknown & missed)):
            for over in stretches(its.grid, where):
                on = _day(over.start, market)
                yield UnknownCharge(self.name, charge, over, unit, _not_stated(on), rule(self._rules, CREDIT, on).cited)

    def _credit(self, its: Quantities[Any], on: Sequence[date]) -> Any:
        """Zonal resource credits that count in each interval, MW."""
        memory, found = self.memory_from(its.memories), []
        failed = memory.season if memory.failed else None
        for day in on:
            mw = its.number(self._credited_mw(day) or 0.0)
            left = rule(self._rules, "miso.lmr.test.failed_share", day) if failed == season_start(day) else None
            found.append(mw * its.number(float(left.value)) if left else mw)
        zero = its.during(None) * its.number(0)
        return zero + np.array(found, zero.dtype)

    def _missing(self, its: Quantities[Any], within: Any) -> Any:
        """MWh above what may stay, in each interval."""
        load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)])
        return its.highest(load * within, np.arange(len(its.grid)), self._stays_mw(its) * its.hours * within)

    def _stays_mw(self, its: Quantities[Any]) -> Any:
        """The load that may stay in each interval, MW."""
        if self.method == "firm":
            return its.during(None) * its.number(self.most_mw)
        return declared(its, self.name, self.baseline_mw or 0.0) - its.number(self.mw)

    def _is_above(self, its: ActualQuantities, span: Interval) -> bool:
        """Whether the load of any interval is above what may stay in a span, by more than meters are inexact."""
        within = share(its, [span])
        most = its.number(METER_SHARE * self.mw) * its.hours * within
        return any(mwh > allowed for mwh, allowed in zip(self._missing(its, within), most, strict=True) if mwh == mwh)

    def _rsg(self, its: Quantities[Any], zero: Any) -> Any:
        if self.rsg_usd_per_mwh is not None:
            return zero + its.number(self.rsg_usd_per_mwh)
        return per_interval(its, figures(self._rules, "miso.lmr.rsg_usd_per_mwh", its.grid, its.site.market))

    def _forfeit(self, its: Quantities[Any], called: Sequence[tuple[Call, Interval]], usd_a_day: Any) -> Any:
        """Dollars of credit that a missing MWh loses: the instruction's own MWh are worth so many days of it."""
        lost = its.during(None) * its.number(0)
        for call, span in called:
            on = OperatingDay.of(its.site.market, call.start_at).on
            many = its.number(float(rule(self._rules, "miso.lmr.forfeit_days", on).value))
            whole = due(call, self.notice_min)
            ends = call.end_at is not None and whole is not None
            hours = its.number(whole.hours if whole and ends else float(rule(self._rules, "miso.lmr.least_h", on).value))
            here = its.during(span) > its.number(0)
            lost = np.where(here, np.maximum(lost, usd_a_day * many / (its.number(self.mw) * hours)), lost)
        return lost

    # --- memory -----------------------------------------------------------------------------------------------------------------------

    def remember(self, memory: LmrMemory, then: Actuals) -> LmrMemory:
        """Its memory after a stretch of time: instructions, highest demand and tests of the season that the stretch ends in."""
        market, its = then.site.market, ActualQuantities.of(then)
        last = season_start(_day(then.grid.intervals[-1].start, market))
        kept = memory.of_season(last)
        load = its.sum([its.energy_mwh(name) for name in self.scope.names(its.site)]) / its.hours
        here = [t for t, over in enumerate(then.grid.intervals) if season_start(_day(over.start, market)) == last]
        seen = Loads.of([then.grid.intervals[t] for t in here], [load[t] for t in here])
        hours = {**kept.hours, **seen.hours}
        highest = max([kept.highest_mw, *seen.hours.values()])
        calls = calls_in_force(then.calls, self.name)
        due_here = spans(calls, CallKind.DEPLOY, self.notice_min, then.grid.over)
        missed = [c.id for c, span in due_here if self._is_above(its, span)]
        tests = dict(kept.tests)
        for call, span in spans(calls, CallKind.TEST, self.notice_min, then.grid.over):
            most = seen.highest_hour_within(span)
            if most is not None:
                had = tests.get(call.id)
                began = clock_hour((due(call, self.notice_min) or span).start) - HOUR
                before = had.before_mw if had else hours.get(began, 0.0)
                tests[call.id] = LoadAtTest(before, max(most, had.most_mw if had else 0.0))
        return memory.emptied(
            season=last,
            called=tuple(sorted({*kept.called, *(c.id for c, _ in due_here)})),
            missed=tuple(sorted({*kept.missed, *missed})),
            highest_mw=highest,
            hours={at: hours[at] for at in sorted(hours)[-KEPT_HOURS:]},
            tests=tests,
            failed=self._failed(tests, highest, _day(then.grid.intervals[-1].start, market)),
        )

    def _failed(self, tests: Mapping[str, LoadAtTest], highest_mw: float, on: date) -> bool:
        """Whether the last test in the memory did not show what a test must show."""
        if not tests:
            return False
        last = list(tests.values())[-1]
        reached = float(rule(self._rules, "miso.lmr.test.reached_share", on).value)
        most = self.most_mw + (0.0 if self.method == "firm" else (1.0 - reached) * self.mw)
        low = self.method == "firm" and last.before_mw < self._before_share(on) * highest_mw * (1.0 - METER_SHARE)
        return low or last.most_mw > most * (1.0 + METER_SHARE)

    def _before_share(self, on: date) -> float:
        return float(rule(self._rules, "miso.lmr.test.before_share", on).value)

    # --- the plan ---------------------------------------------------------------------------------------------------------------------

    def shape(self, program: Any) -> None:
        """Its charges and its calls, and before a test down to a firm service level the load that the test must begin from."""
        super().shape(program)
        floor = self._before_tests(program)
        if (floor > 0).any():
            load = program.load_mw(self.scope.names(program.site))
            name = f"before test {self.name}"
            program.at_least(name, load, floor, Yields.CAPACITY, floor > 0, kind=RowKind.LOAD, obligation=self.name)

    def _before_tests(self, program: Any) -> Any:
        """The least load in each interval, MW: the hour before a test that is known ahead."""
        floor = np.zeros(program.n)
        memory = self.memory_from(program.memories)
        if self.method != "firm" or not memory.highest_mw:
            return floor
        for call in program.calls_of(self.name):
            span = due(call, self.notice_min) if call.kind is CallKind.TEST else None
            if span is None or season_start(_day(span.start, program.site.market)) != memory.season:
                continue
            needed = self._before_share(_day(span.start, program.site.market)) * memory.highest_mw
            whole = Interval(clock_hour(span.start) - HOUR, clock_hour(span.start))
            floor = np.where(program.grid.share_within(whole) >= 1.0, np.maximum(floor, needed), floor)
        return floor

    def shortfall_usd(self, program: Any, path: Any, short_mw: Any) -> float:
        """What missing its instructions costs on the planned load; of the load a test must begin from, the credit of a failed test."""
        from optimizer.lp.trajectory import actuals_of

        if (short_mw[self._before_tests(program) > 0] > 0).any():
            on = _day(program.grid.start, program.site.market)
            usd = cleared(self._rules, self.zone, self.usd_per_mw_day, program.grid, program.site.market)[0] * days_left(on)
            return (1.0 - float(rule(self._rules, "miso.lmr.test.failed_share", on).value)) * (self._credited_mw(on) or 0.0) * usd
        lines = self.settle(actuals_of(program, path))
        return -float(sum(line.amount_usd for line in lines if line.charge_type in ("lmr_shortfall", "lmr_forfeit")))

    def progress(self, memory: LmrMemory, day: OperatingDay) -> Iterable[ContractProgress]:
        """Calls answered and left of the season a day lies in, and its last test."""
        here = memory.of_season(season_start(day.on))
        used, allowed = len(here.called), self._allowed(day.on)
        if allowed is not None:
            how = f"{used} of {allowed} of the {season(day.on)} used, {used - len(here.missed)} answered"
            yield ContractProgress(f"{self.name}: calls left", max(0, allowed - used), "calls", how)
        if here.tests:
            how = f"1 when it was passed; of the {season(day.on)}"
            yield ContractProgress(f"{self.name}: last test", float(not here.failed), "passed", how)

    def findings(self, before: LmrMemory, after: LmrMemory, day: OperatingDay) -> Iterable[Finding]:
        """A test that the day judged as failed."""
        if id_ := after.failed_since(before):
            yield Finding("strike", f"{self.name}: test {id_} was failed; {UNTIL_PASSED} or the {season(day.on)} ends")

    def reasons(self, book: Sequence[Any], program: Any, path: Any) -> Iterable[str]:
        """Instructions answered and left of the season, when one is due, what a failed test costs, and pay that nobody knows."""
        market, on = program.site.market, _day(program.grid.start, program.site.market)
        if any(self._credited_mw(day) is None for day in days(program.grid, market)):
            yield f"{self.name}: its capacity pay is in no dollar here: {_not_stated(on)}"
        here = self.memory_from(program.memories).of_season(season_start(on))
        for call, span in spans(program.calls_of(self.name), CallKind.DEPLOY, self.notice_min, program.grid.over):
            begins = span.start.astimezone(market.tz)
            until = "recall" if call.end_at is None else f"{call.end_at.astimezone(market.tz):%a %H:%M}"
            yield f"{self.name}: call {call.id} is due from {begins:%a %H:%M} until {until}: at most {self.most_mw:.3f} MW"
        allowed, used = self._allowed(on), len(here.called)
        if allowed is not None:
            answered = used - len(here.missed)
            yield f"{self.name}: {used} of {allowed} calls of this {season(on)} used, {answered} answered, {max(0, allowed - used)} left"
        if here.failed:
            yield f"{self.name}: the last test failed; {UNTIL_PASSED} or the {season(on)} ends"


def _day(at: datetime, market: Market) -> date:
    return OperatingDay.of(market, at).on


def _not_stated(on: date) -> str:
    return f"the site file names no zrc of the {season(on)}, and what is accredited is not known"
