"""An independent formulation of the program in plain PuLP, written from the rules: each rig alternates runs awake and runs asleep.

A run is an arc from the interval in which it begins to the one in which it ends, at least the minimum time long; rigs flow from arc to arc.
It uses nothing of the optimizer except the figures of the site. It is slow and easy to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pulp

from optimizer.domain.site import RigGroup, Site, SoFar

SLEEP = "sleep"


class Oracle:
    """The most a site can earn over a grid. Contracts are added by the methods below, in dollars; then `best()`."""

    def __init__(self, site: Site, edges: Sequence[int], so_far: SoFar, *, celsius: float, hashprice: Sequence[float]) -> None:
        self.site, self.so_far, self.hashprice = site, so_far, hashprice
        self.start_s = [float(s) for s in edges[:-1]]
        self.hours = [(b - a) / 3600 for a, b in zip(edges, edges[1:], strict=False)]
        self.times = range(len(self.hours))
        self._count = 0
        self.problem = pulp.LpProblem("oracle", pulp.LpMaximize)
        self.usd: list[object] = []
        self.over = {h.name: 1 + h.overhead.share + h.overhead.share_per_c_above_25 * max(0.0, celsius - 25) for h in site.halls}
        self.rigs: dict[tuple[str, str], list[pulp.LpVariable]] = {}
        self.starts: dict[str, list[object]] = {}
        self.runs: dict[str, list[tuple[int, int, pulp.LpVariable]]] = {}
        for group in site.groups:
            self._live(group)

    def var(self, low: float | None = 0.0, high: float | None = None, whole: bool = False) -> pulp.LpVariable:
        kind = pulp.LpInteger if whole else pulp.LpContinuous
        self._count += 1
        return self.problem.add_variable(f"v{self._count}", low, high, kind)

    def must(self, what: object) -> None:
        self.problem += what

    # --- rigs -------------------------------------------------------------------------------------------------------------------------

    def _live(self, group: RigGroup) -> None:
        last, now = len(self.times), self.so_far.groups.get(group.name)
        up = min(sum(n for m, n in now.modes.items() if m != SLEEP), group.rigs) if now else 0.0
        awake, asleep = self._runs(group.min_on_min), self._runs(group.min_off_min)
        stay, rest = ([(-1, b, self.var()) for b in range(last + 1)] for _ in range(2))
        self.must(pulp.lpSum(x for *_, x in stay) == up)
        self.must(pulp.lpSum(x for *_, x in rest) == group.rigs - up)
        for moves, minutes, arcs, most in (
            (now.woken if now else (), group.min_on_min, stay, up),
            (now.slept if now else (), group.min_off_min, rest, group.rigs - up),
        ):
            for t in self.times:
                bound = sum(n for at, n in moves if (at + timedelta(minutes=minutes)).timestamp() > self.start_s[t])
                if bound:
                    self.must(pulp.lpSum(x for _, b, x in arcs if b > t) >= min(bound, most))
        self.runs[group.name] = [*stay, *awake]
        self.starts[group.name] = [pulp.lpSum(x for a, _, x in awake if a == t) for t in self.times]
        for t in self.times:
            self.must(self.starts[group.name][t] == pulp.lpSum(x for _, b, x in (*rest, *asleep) if b == t))
            self.must(pulp.lpSum(x for a, _, x in asleep if a == t) == pulp.lpSum(x for _, b, x in (*stay, *awake) if b == t))
        modes = [m for m in group.modes if m.name != SLEEP]
        for mode in modes:
            self.rigs[group.name, mode.name] = [self.var() for _ in self.times]
        for t in self.times:
            self.must(pulp.lpSum(self.rigs[group.name, m.name][t] for m in modes) == self._awake(group.name, t))

    def _runs(self, minutes: float) -> list[tuple[int, int, pulp.LpVariable]]:
        """Arcs [a, b) that last at least the minimum time; a run that reaches the end of the horizon may be shorter."""
        last = len(self.times)
        ends = {
            a: [b for b in range(a + 1, last + 1) if b == last or self.start_s[b] >= self.start_s[a] + minutes * 60] for a in self.times
        }
        return [(a, b, self.var()) for a in self.times for b in ends[a]]

    def _awake(self, group: str, t: int) -> object:
        return pulp.lpSum(x for a, b, x in self.runs[group] if a <= t < b)

    def old(self, group: str, t: int, minutes: float) -> object:
        """Rigs awake at t that were woken at least so many minutes earlier; rigs awake when the horizon began count as woken earlier."""
        return pulp.lpSum(x for a, b, x in self.runs[group] if a <= t < b and (a < 0 or self.start_s[a] + minutes * 60 <= self.start_s[t]))

    def mw(self, names: Sequence[str], t: int) -> object:
        """Load at the meter, MW; rigs that are not awake draw standby power."""
        parts = []
        for group in (self.site.group(name) for name in names):
            idle = next((m.watts for m in group.modes if m.name == SLEEP), 0.0)
            more = [(m.watts - idle) * self.rigs[group.name, m.name][t] for m in group.modes if m.name != SLEEP]
            parts.append((pulp.lpSum(more) + idle * group.rigs) * (self.over[group.hall] / 1e6))
        return pulp.lpSum(parts)

    def ph(self, names: Sequence[str], t: int) -> object:
        return pulp.lpSum(
            self.rigs[g.name, m.name][t] * (m.ths / 1e3) for g in map(self.site.group, names) for m in g.modes if m.name != SLEEP
        )

    @property
    def all(self) -> list[str]:
        return [g.name for g in self.site.groups]

    def behind(self, meter: str) -> list[str]:
        return [name for name in self.all if self.site.meter_of[name].id == meter]

    # --- the site ---------------------------------------------------------------------------------------------------------------------

    def limits(self) -> None:
        site = self.site
        for t in self.times:
            self.must(self.mw(self.all, t) <= site.interconnect_mw)
            for hall in site.halls:
                names = [g.name for g in site.groups if g.hall == hall.name]
                if names:
                    self.must(self.mw(names, t) <= hall.limit_mw)
                    if hall.max_starts_per_min is not None:
                        self.must(pulp.lpSum(self.starts[n][t] for n in names) <= hall.max_starts_per_min * self.hours[t] * 60)
        for group in site.groups:
            if group.wear_usd_per_start:
                self.usd += [-group.wear_usd_per_start * s for s in self.starts[group.name]]

    def ramps(self, before_mw: float) -> None:
        for t in self.times:
            change = self.mw(self.all, t) - (self.mw(self.all, t - 1) if t else before_mw)
            if self.site.max_ramp_up_mw_per_min is not None:
                self.must(change <= self.site.max_ramp_up_mw_per_min * self.hours[t] * 60)
            if self.site.max_ramp_down_mw_per_min is not None:
                self.must(change >= -self.site.max_ramp_down_mw_per_min * self.hours[t] * 60)

    def event(self, names: Sequence[str], most_mw: float, during: Sequence[bool]) -> None:
        """3.9: a deployed instruction; load that cannot be shed may remain."""
        for t in self.times:
            if during[t]:
                idle = sum(
                    g.rigs * g.modes[0].watts * self.over[g.hall] / 1e6 for g in map(self.site.group, names) if g.modes[0].name == SLEEP
                )
                self.must(self.mw(names, t) <= max(most_mw, idle))

    # --- contracts --------------------------------------------------------------------------------------------------------------------

    def hashing(self, fee: float, names: Sequence[str] | None = None) -> None:
        for t in self.times:
            self.usd.append(self.ph(self.all if names is None else names, t) * (self.hours[t] / 24 * self.hashprice[t] * (1 - fee)))

    def energy(self, adders: float, price: Mapping[str, Sequence[float]], settled: Sequence[str] = ()) -> None:
        """3.1: metered load with losses at the meter's price, plus adders; of load `settled` by another contract only the adders."""
        for meter in self.site.meters:
            for name in self.behind(meter.id):
                for t in self.times:
                    p = 0.0 if name in settled else price[meter.settlement_point][t]
                    self.usd.append(self.mw([name], t) * (-(p + adders) * meter.loss_factor * self.hours[t]))

    def block(self, mw: float, fixed: float, meter: str, price: Sequence[float], haircut: float, cap: float | None) -> None:
        """3.2: energy above the block is bought at the price; energy below it is sold back at the price less the haircut, up to the cap,
        and the rest is lost. Without a haircut, negative prices count too, because buying and selling are then the same."""
        loss = next(m.loss_factor for m in self.site.meters if m.id == meter)
        linear = cap is not None and not haircut and cap >= mw
        for t in self.times:
            bought, paid, spilled, over = self.var(), self.var(0, min(cap or 0.0, mw)), self.var(), self.var(0, 1, whole=True)
            self.must(self.mw(self.behind(meter), t) * loss - mw == bought - paid - spilled)
            if not linear:
                self.must(bought <= 1e4 * over)
                self.must(paid + spilled <= mw * (1 - over))
            else:
                self.must(spilled <= 0)
            earned = price[t] if linear else max(0.0, price[t] - haircut)
            self.usd.append((paid * earned - bought * price[t] - mw * fixed) * self.hours[t])

    def coincident(self, usd_per_kw_year: float, months: int, share: Sequence[float]) -> None:
        """3.4: the expected cost of the month's coincident peak."""
        for t in self.times:
            self.usd.append(self.mw(self.all, t) * (-share[t] * usd_per_kw_year * 1000 / months))

    def reserve(self, meter: str, offers: Mapping[str, tuple[float, Sequence[float]]], floor_mw: float = 0.0) -> None:
        """3.5: up reserve of a controllable load. It is at most the draw above sleep of rigs that may go to sleep, the load above the low
        power consumption, and the qualified MW; each megawatt is sold once. `offers`: product -> (qualified MW, price)."""
        names = self.behind(meter)
        for t in self.times:
            sold = {product: self.var(0, most) for product, (most, _) in offers.items()}
            self.usd += [r * (offers[product][1][t] * self.hours[t]) for product, r in sold.items()]
            self.must(pulp.lpSum(sold.values()) <= pulp.lpSum(self._can_drop(self.site.group(n), t) for n in names))
            if floor_mw:
                above = self.var(0, 1, whole=True)
                self.must(pulp.lpSum(sold.values()) <= 1e4 * above)
                self.must(pulp.lpSum(sold.values()) + floor_mw * above <= self.mw(names, t))

    def _can_drop(self, group: RigGroup, t: int) -> object:
        """The group's rigs past their minimum time, those in the highest mode first."""
        idle = next((m.watts for m in group.modes if m.name == SLEEP), 0.0)
        modes = [m for m in group.modes if m.name != SLEEP]
        told = {m.name: self.var() for m in modes}
        for m in modes:
            self.must(told[m.name] <= self.rigs[group.name, m.name][t])
        self.must(pulp.lpSum(told.values()) <= self.old(group.name, t, max(group.min_on_min, group.wake_min)))
        return pulp.lpSum(told[m.name] * ((m.watts - idle) * self.over[group.hall] / 1e6) for m in modes)

    def forward(self, ph: float, price: float, damages: float, period: Sequence[int]) -> None:
        """3.16: the full quantity at price less index; a shortfall of a period's sum at the damages plus that gain."""
        for t in self.times:
            self.usd.append((price - self.hashprice[t]) * ph * self.hours[t] / 24)
        for number in sorted(set(period)):
            here = [t for t in self.times if period[t] == number]
            missing = self.var()
            self.must(missing >= pulp.lpSum((ph - self.ph(self.all, t)) * (self.hours[t] / 24) for t in here))
            self.usd.append(missing * -(damages + max(0.0, price - self.hashprice[here[-1]])))

    def hosting(
        self, names: Sequence[str], fee: float, price: Sequence[float], strike: float, passes: bool, promise: tuple[float, float]
    ) -> None:
        """A tenant that runs below its strike pays the fee and, if passed through, the price; below the promised MWh the site owes the
        credit."""
        wanted = [price[t] < strike for t in self.times]
        loss = self.site.meter_of[names[0]].loss_factor
        for t in self.times:
            self.usd.append(self.mw(names, t) * (wanted[t] * loss * self.hours[t] * (fee + (price[t] if passes else 0.0))))
        mw, credit = promise
        missing = self.var()
        self.must(missing >= pulp.lpSum((mw - self.mw(names, t)) * (self.hours[t] * wanted[t]) for t in self.times))
        self.usd.append(missing * -credit)

    def best(self, solver: Callable[[], pulp.LpSolver] | None = None) -> float | None:
        """The highest value in usd; None when the problem is infeasible."""
        self.problem.setObjective(pulp.lpSum(self.usd))
        self.problem.solve((solver or (lambda: pulp.HiGHS(msg=False, gapRel=1e-10)))())
        return float(pulp.value(self.problem.objective)) if pulp.LpStatus[self.problem.status] == "Optimal" else None
