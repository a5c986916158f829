"""The site's own limits: interconnect, its agreement by date, halls, ramp, minimum times, starts a minute, makers, and wear.

Market rules: docs/rules.md#directed-curtailment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.calls import called_bounds
from optimizer.domain.contract import Contract
from optimizer.domain.dated_rates import DatedRate, in_order
from optimizer.domain.deployments import METER_SHARE
from optimizer.domain.generator import generator_memory
from optimizer.domain.load_and_price_limits import GroupLimit
from optimizer.domain.obligation import Book
from optimizer.domain.row_kind import RowKind
from optimizer.domain.site import SLEEP, Hall, Meter, NotNegative, Positive, RigGroup, Site, Written
from optimizer.domain.site_fault import SiteFault
from optimizer.lp.arrays import Yields
from optimizer.lp.expr import Expr, total
from optimizer.lp.program import KILO, Program
from optimizer.lp.starts_and_stops import minimum_times
from optimizer.lp.trajectory import Trajectory

FOREVER = datetime.fromisoformat("9999-01-01T00:00:00+00:00")


class Provenance(Written):
    """Where rigs come from: makers, places of assembly, lists that name them."""

    maker: tuple[str, ...] = ()
    assembly: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


class AgreedLoad(DatedRate):
    """What the interconnection agreement lets the site draw from an operating day on: `firm_mw` at all times, and `non_firm_mw` more
    unless the utility recalls it, by a call to this contract."""

    firm_mw: NotNegative
    non_firm_mw: NotNegative = 0.0

    @property
    def most_mw(self) -> float:
        return self.firm_mw + self.non_firm_mw


class Plant(Contract):
    """The site's own limits, from the site file. Earns and costs nothing; wear steers the plan and is not cash.

    max_mw_per_maker    the most that runs on one maker's firmware: what one maker can drop, or move, at once
    respond_min         minutes within which the load is where an order to the whole site asks for it, by the interconnection agreement
    agreed_load        { from, firm_mw, non_firm_mw }: what the agreement lets it draw, by date; before the first, the interconnect alone
    forbid, demand      { maker, assembly, lists }: rigs of these are refused, rigs of none of these are refused
    """

    type: ClassVar[str] = "plant"
    name: str = "plant"
    max_mw_per_maker: Positive | None = None
    respond_min: Positive = 3.0
    forbid: Provenance = Provenance()
    demand: Provenance = Provenance()
    agreed_load: Annotated[tuple[AgreedLoad, ...], AfterValidator(in_order)] = ()

    def call_terms(self, on: date) -> CallTerms:
        """An order to the whole site: no programme says by when it is answered, the site file does."""
        return CallTerms(self.respond_min, missing_share=METER_SHARE, rule="contract plant, respond_min (interconnection agreement)")

    def limits(self, site: Site) -> Iterable[GroupLimit]:
        """What the agreement lets the site draw, by date, and what runs on the firmware of one maker."""
        yield from self._agreed_limits(site)
        if self.max_mw_per_maker is not None:
            for maker, groups in site.groups_of_maker.items():
                why = f"exposure: at most {self.max_mw_per_maker:g} MW on the firmware of {maker}"
                yield GroupLimit(groups, self.max_mw_per_maker, why)

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        """More than the interconnect. Groups whose maker, place of assembly or lists it forbids, or that have none of those it
        demands."""
        for n, agreed in enumerate(self.agreed_load):
            if agreed.most_mw > site.interconnect_mw:
                text = f"{agreed.firm_mw:g} MW firm and {agreed.non_firm_mw:g} MW non-firm are more than the interconnect's"
                yield SiteFault(f"{text} {site.interconnect_mw:g} MW", ("agreed_load", n))
        for group in site.groups:
            checked = (
                ("maker", (group.maker,) if group.maker else (), self.forbid.maker, self.demand.maker),
                ("assembly", (group.assembly,) if group.assembly else (), self.forbid.assembly, self.demand.assembly),
                ("lists", group.lists, self.forbid.lists, self.demand.lists),
            )
            for key, own, forbidden, demanded in checked:
                for text in self._refused(own, forbidden, demanded):
                    yield SiteFault(text, (key,), group.name)

    def _agreed_mw(self, program: Program) -> NDArray[np.float64]:
        """The most that the agreement lets the site draw in each interval, MW; infinite before its first date, shape (n,)."""
        limits = [limit.most_mw(program.grid) for limit in self._agreed_limits(program.site)]
        most_mw: NDArray[np.float64] = np.min([np.full(program.n, np.inf), *limits], axis=0)
        return most_mw

    def _agreed_limits(self, site: Site) -> Iterable[GroupLimit]:
        everything = tuple(g.name for g in site.groups)
        for agreed, during in self._agreed_loads(site.market):
            yield GroupLimit(everything, agreed.most_mw, _agreed(agreed), during)

    def _agreed_loads(self, market: Market) -> Iterable[tuple[AgreedLoad, Interval]]:
        """Each stretch of the agreement and when it holds."""
        starts = [OperatingDay(market, agreed.from_).start for agreed in self.agreed_load]
        for agreed, start, end in zip(self.agreed_load, starts, [*starts[1:], FOREVER], strict=False):
            yield agreed, Interval(start, end)

    def _refused(self, own: Sequence[str], forbidden: Sequence[str], demanded: Sequence[str]) -> Iterable[str]:
        """Why a group with these values is refused; upper and lower case do not matter."""
        folded = {value.casefold() for value in own}
        for value in own:
            if value.casefold() in {f.casefold() for f in forbidden}:
                yield f"is {value!r}, which contract {self.name!r} forbids"
        if demanded and folded.isdisjoint(d.casefold() for d in demanded):
            said = f"is {', '.join(map(repr, own))}" if own else "is not set"
            yield f"{said}, but contract {self.name!r} requires {' or '.join(demanded)}"

    def shape(self, program: Program) -> None:
        site = program.site
        everything = [g.name for g in site.groups]
        program.cap("interconnect", program.load_mw(everything), site.interconnect_mw, kind=RowKind.SITE_LIMIT)
        if self.agreed_load:
            program.cap("agreed load", program.load_mw(everything), self._agreed_mw(program), kind=RowKind.SITE_LIMIT)
        moving = [g for g in site.groups if g.awake_modes and _needs_starts(program, g)]
        starts = minimum_times(program, moving) if moving else None
        for hall in site.halls:
            behind = [g.name for g in site.groups if g.hall == hall.name]
            if behind:
                program.cap(f"hall {hall.name}", program.load_mw(behind), hall.limit_mw, kind=RowKind.SITE_LIMIT)
                _limit_starts(program, hall, starts, np.array([g.hall == hall.name for g in moving], dtype=bool))
        for meter in site.meters:
            _line(program, meter)
        for maker, groups in site.groups_of_maker.items() if self.max_mw_per_maker is not None else ():
            program.cap(f"maker {maker}", program.load_mw(groups), self.max_mw_per_maker or 0.0, kind=RowKind.SITE_LIMIT)
        _ramp(program, everything)
        if any(c.obligation == self.name for c in program.so_far.calls):
            memory = self.memory_from(program.memories).load_before_mw
            bounds = [called_bounds(program.so_far.calls, self.name, over, memory) for over in program.grid.intervals]
            program.insist(self.name, everything, bounds)

    def reasons(self, book: Sequence[Any], program: Program, path: Trajectory) -> Iterable[str]:
        """What the agreement lets the site draw; how much one maker's firmware holds, where it matters: with several makers, or a limit."""
        for agreed, during in self._agreed_loads(program.site.market):
            if during.overlaps(program.grid.over) and agreed.most_mw < program.site.interconnect_mw:
                yield _agreed(agreed)
        makers = program.site.groups_of_maker
        if len(makers) < 2 and self.max_mw_per_maker is None:
            return
        held = {maker: sum((path.group_load_mw[name] for name in names), np.zeros(program.n)) for maker, names in makers.items()}
        told = (f"{maker}'s {mw[0]:.3f} MW now and {mw.max():.3f} at most" for maker, mw in sorted(held.items(), key=lambda h: -h[1].max()))
        allowed = f"; {self.max_mw_per_maker:g} MW allowed each" if self.max_mw_per_maker is not None else ""
        if held:
            yield f"one maker's firmware can drop at once: {', '.join(told)}{allowed}"


def _agreed(agreed: AgreedLoad) -> str:
    return (
        f"interconnection agreement, from {agreed.from_}: at most {agreed.most_mw:g} MW, {agreed.firm_mw:g} of them firm and "
        f"{agreed.non_firm_mw:g} non-firm"
    )


def _needs_starts(program: Program, group: RigGroup) -> bool:
    shortest_min = float(program.hours.min()) * 60.0
    hall = program.site.hall_of[group.name]
    now = program.so_far.groups.get(group.name)
    bound_by_the_past = bool(now and (now.woken or now.slept))
    minimum = max(group.min_on_min, group.min_off_min)
    return minimum > shortest_min or (bound_by_the_past and minimum > 0) or group.wear_usd_per_start > 0 or _limits_starts(program, hall)


def _limits_starts(program: Program, hall: Hall) -> bool:
    if hall.max_starts_per_min is None:
        return False
    rigs = sum(g.rigs for g in program.site.groups if g.hall == hall.name)
    return rigs > hall.max_starts_per_min * float(program.hours.min()) * 60.0


def _limit_starts(program: Program, hall: Hall, starts: Expr | None, here: NDArray[np.bool_]) -> None:
    if starts is None or not here.any() or hall.max_starts_per_min is None or not _limits_starts(program, hall):
        return
    together = starts.among(here).summed()
    most = hall.max_starts_per_min * program.hours * 60.0 / KILO
    program.row(f"starts hall {hall.name}", together, upper=most, kind=RowKind.STARTS)


def _line(program: Program, meter: Meter) -> None:
    """What flows at a meter stays within what its line brings and takes: net of what is generated there."""
    load = program.load_mw([g.name for g in program.site.groups if program.site.meter_of[g.name].id == meter.id])
    net = load - _made_mw(program, (meter,))
    if meter.import_mw is not None:
        # Rigs asleep draw on the line whatever is generated: a machine that cannot run that low never makes the program impossible.
        idle, _ = load.range(program.lower, program.upper)
        program.cap(f"line {meter.id}", net, np.maximum(meter.import_mw, idle), kind=RowKind.SITE_LIMIT)
    if program.generators(meter.id):
        program.row(f"export {meter.id}", net, lower=-meter.export_mw)


def _made_mw(program: Program, meters: Sequence[Meter]) -> Expr:
    return total([program.machines[made.name].mw for meter in meters for made in program.generators(meter.id)], program.n)


def _ramp(program: Program, groups: Sequence[str]) -> None:
    """Change of the net load from interval to interval, over the minutes of the later one; gives way to a deployed instruction."""
    site = program.site
    if site.max_ramp_up_mw_per_min is None and site.max_ramp_down_mw_per_min is None:
        return
    net = program.load_mw(groups) - _made_mw(program, site.meters)
    made_now = sum(_made_now_mw(program, name) for name in program.machines)
    change = net - net.lag(1, _load_now_mw(program) - made_now)
    minutes = program.hours * 60.0
    if site.max_ramp_up_mw_per_min is not None:
        program.at_least("ramp up", -change, -site.max_ramp_up_mw_per_min * minutes, Yields.RAMP, kind=RowKind.RAMP)
    if site.max_ramp_down_mw_per_min is not None:
        program.at_least("ramp down", change, -site.max_ramp_down_mw_per_min * minutes, Yields.RAMP, kind=RowKind.RAMP)


def _made_now_mw(program: Program, name: str) -> float:
    """What a generator makes just before the plan; a wind or solar plant what it can make at first, for nothing holds it back."""
    machine = program.machines[name]
    return float(machine.most_mw[0]) if machine.of.variable else generator_memory(program.memories, name).running_mw


def _load_now_mw(program: Program) -> float:
    load = 0.0
    for group in program.site.groups:
        now = program.so_far.groups.get(group.name)
        modes = now.modes if now else {SLEEP: float(group.rigs)}
        load += sum(rigs / KILO * program.mw_per_kilorig(group, m)[0] for m in group.modes if (rigs := modes.get(m.name, 0.0)))
    return float(load)
