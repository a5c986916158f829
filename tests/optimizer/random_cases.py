"""Random sites, markets, books and calls on which the laws of the book are tested. The same seed gives the same case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from markets.facts import Award, Call, CallKind
from markets.grid import Grid, Interval, Market
from markets.outlook import Outlook
from markets.series import Series
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Availability, GroupNow, Hall, Meter, Overhead, Site, SoFar
from optimizer.obligations.pra import METERED
from tests.optimizer import fixtures

POINTS = ("LZ_WEST", "HB_NORTH")
METERS = {"main": POINTS[0], "far": POINTS[1], "clr": POINTS[0], "ers": POINTS[0]}
# An ordinary afternoon; the night RTC+B began; the ends of a term and a season, of a month, of a year.
STARTS = [datetime(*at, tzinfo=UTC) for at in ((2026, 8, 20, 16), (2025, 12, 5, 3), (2026, 10, 1, 2), (2026, 9, 1, 3), (2027, 1, 1, 3))]
# The days of 92 and of 100 quarter hours, from midnight to midnight in Texas.
LONG_DAYS = [(datetime(2026, 3, 8, 6, tzinfo=UTC), 92), (datetime(2026, 11, 1, 5, tzinfo=UTC), 100)]
MARKS = (-251.0, -1.0, 0.0, 30.0, 5000.0)


@dataclass(frozen=True)
class InstructedLoad:
    """The load that a deployed instruction asks for, independent of how a contract represents it: groups, when, and MW."""

    obligation: str
    names: tuple[str, ...]
    over: Interval
    cap_mw: float = float("inf")
    floor_mw: float = 0.0


@dataclass(frozen=True)
class Case:
    """Everything `plan` takes, and the loads that instructions ask for."""

    site: Site
    book: tuple[Obligation, ...]
    outlook: Outlook
    so_far: SoFar
    availability: Availability = Availability()
    instructions: tuple[InstructedLoad, ...] = ()

    @property
    def inputs(self) -> tuple[object, ...]:
        return self.site, self.book, self.outlook, self.so_far, self.availability

    def least_mw(self, names: Iterable[str]) -> np.ndarray:
        """What groups draw when all of their rigs sleep, by interval."""
        return sum((self._mw(name, 0.0) for name in names), np.zeros(len(self.outlook.grid)))

    def most_mw(self, names: Iterable[str]) -> np.ndarray:
        """What they draw when all run in their highest mode."""
        return sum((self._mw(name, 1.0) for name in names), np.zeros(len(self.outlook.grid)))

    def _mw(self, name: str, share: float) -> np.ndarray:
        group, hall = self.site.group(name), self.site.hall_of[name]
        rigs = self.availability.rigs.get(name)
        have = np.full(len(self.outlook.grid), float(group.rigs)) if rigs is None else rigs.values
        watts = [m.watts for m in group.modes]
        over = 1 + hall.overhead.share + hall.overhead.share_per_c_above_25 * np.maximum(0.0, self.outlook.temperature_c.values - 25)
        return np.asarray(have * over * (watts[0] + share * (max(watts) - watts[0])) / 1e6)


def span(rng: np.random.Generator, n: int = 16, *, days: bool = True) -> Grid:
    """Five minutes, quarter hours, hours, quarter hours that become hours, or a whole day on which the clock changes."""
    start = STARTS[int(rng.integers(len(STARTS)))]
    kind = rng.integers(6 if days else 4)
    if kind < 3:
        return fixtures.grid(n, (5, 15, 60)[kind], start)
    if kind == 3:
        quarters = start.timestamp() + 900 * np.arange(5)
        return Grid(np.concatenate((quarters, quarters[-1] + 3600 * np.arange(1, n - 3))).astype(np.int64))
    first, quarters_long = LONG_DAYS[kind - 4]
    return fixtures.grid(quarters_long, 15, first)


def prices(rng: np.random.Generator, n: int, *, gaps: bool = False) -> np.ndarray:
    """Prices to the cent, some at the cap, the floor and zero, and with `gaps` some that are not published."""
    values = fixtures.random_prices(rng, n)
    for mark in MARKS:
        values = np.where(rng.random(n) < 0.03, mark, values)
    return np.where(rng.random(n) < 0.05, np.nan, values) if gaps else values


def market(rng: np.random.Generator, over: Grid, *, gaps: bool = False) -> Outlook:
    """An outlook: energy at two points, reserve, the month's peaks, air of any season."""
    n = len(over)
    energy = {point: prices(rng, n, gaps=gaps) for point in POINTS}
    ahead = fixtures.outlook(energy, over, hashprice=round(float(rng.uniform(15, 90)), 3), celsius=float(rng.uniform(-5, 42)))
    products = ("REGUP", "REGDN", "RRS", "ECRS", "NSPIN")
    reserve = {p: Series(over, np.round(rng.exponential(12, n) * (rng.random(n) < 0.7), 2), "usd_per_mw_h") for p in products}
    peaks = {m: Series(over, np.where(rng.random(n) < 0.2, rng.random(n) * 0.1, 0.0), "share") for m in (15, 30, METERED)}
    return replace(ahead, reserve=reserve, peak_share=peaks)


def site(rng: np.random.Generator, *, tight: bool, halls: str = "abcd", where: Market = Market.ERCOT) -> Site:
    """A hall behind each meter, one or two groups in each. A tight one has limits, ramps, minimum times, wear and slow starts."""
    models = list(fixtures.MODELS)
    groups = tuple(
        fixtures.group(
            f"{hall}{k}",
            models[int(rng.integers(3))],
            rigs=int(rng.integers(100, 1500)),
            hall=hall,
            tenant="guest" if hall == "b" else "own",
            low=bool(rng.random() < 0.4),
            standby=float(rng.choice([0.0, 15.0])),
            wake_min=float(rng.choice([0.0, 4.0, 12.0])),
            **(_times(rng) if tight else {}),
        )
        for hall in halls
        for k in range(int(rng.integers(1, 3)))
    )
    full = {h: sum(g.rigs * g.full.watts for g in groups if g.hall == h) / 1e6 for h in halls}
    meters = tuple(Meter(id=m, settlement_point=p, loss_factor=float(rng.choice([1.0, 1.0178]))) for m, p in METERS.items())
    made = tuple(
        Hall(
            name=h,
            meter=list(METERS)["abcd".index(h)],
            limit_mw=full[h] * float(rng.uniform(0.3, 1.3)) if tight else 1000.0,
            overhead=Overhead(share=0.03, share_per_c_above_25=0.002),
            max_starts_per_min=float(rng.integers(10, 200)) if tight and rng.random() < 0.5 else None,
        )
        for h in halls
    )
    whole = sum(full.values())
    ramps = {f"max_ramp_{way}_mw_per_min": float(rng.uniform(0.002, 0.1) * whole) for way in ("up", "down") if tight and rng.random() < 0.4}
    interconnect = whole * float(rng.uniform(0.4, 1.2)) if tight else 1000.0
    return fixtures.site(*groups, halls=made, meters=meters, interconnect_mw=interconnect, market=where, **ramps)


def _times(rng: np.random.Generator) -> dict[str, float]:
    return {
        "min_on_min": float(rng.choice([0, 15, 45, 90])),
        "min_off_min": float(rng.choice([0, 30, 60])),
        "wear_usd_per_start": float(rng.choice([0.0, 0.05])),
    }


def doing(rng: np.random.Generator, where: Site, at: datetime) -> dict[str, GroupNow]:
    """What each group does when the plan begins; some rigs moved a moment ago, some groups say nothing."""
    now = {}
    for g in where.groups:
        up = int(g.rigs * rng.choice([0.0, 0.3, 1.0, rng.random()]))
        moved = int(up * rng.uniform(0, 1)), int((g.rigs - up) * rng.uniform(0, 0.3))
        minutes = [timedelta(minutes=float(rng.uniform(0, 60))) for _ in moved]
        woken, slept = (((at - m, n),) if n else () for m, n in zip(minutes, moved, strict=True))
        if rng.random() < 0.8:
            now[g.name] = GroupNow({"sleep": float(g.rigs - up), "normal": float(up)}, woken=woken, slept=slept)
    return now


def maintenance(rng: np.random.Generator, where: Site, over: Grid) -> Availability:
    """Some groups lose rigs for some hours, or all of them."""
    rigs = {}
    for g in where.groups:
        if rng.random() < 0.3:
            gone = (np.arange(len(over)) >= rng.integers(len(over))) & (rng.random() < 0.8)
            rigs[g.name] = Series(over, np.where(gone, np.floor(g.rigs * rng.choice([0.0, 0.4])), float(g.rigs)), "rigs")
    return Availability(rigs)


def calls(
    rng: np.random.Generator, where: Site, book: Iterable[Obligation], over: Grid, most: int = 4
) -> tuple[list[Call], list[InstructedLoad], dict]:
    """Instructions to contracts of a book, several at once: caps, reductions and set points, recalled, cancelled and called again; what
    each asks for, and the loads at notice that reductions count from."""
    book, found, instructions, before = list(book), [], [], {}
    for k in range(int(rng.integers(1, most + 1))):
        contract = book[int(rng.integers(len(book)))]
        names = contract.scope.names(where)
        full = sum(where.group(name).rigs * where.group(name).full.watts for name in names) / 1e6
        length_s = float(over.edges[-1] - over.edges[0])
        start = over.start + timedelta(seconds=int(rng.uniform(-0.2, 0.9) * length_s))
        end = start + timedelta(seconds=int(rng.uniform(0.05, 0.6) * length_s)) if rng.random() < 0.7 else None
        mw = round(float(full * rng.choice([0.0, rng.random(), rng.random(), 1.5])), 4)
        how = str(rng.choice(["mw_cap", "mw_cap", "mw_target", "mw_delta"]))
        first = Call(
            source="chance", known_at=start, id=f"c{k}", version=1, obligation=contract.name, notice_at=start, start_at=start, end_at=end,
            kind=CallKind(str(rng.choice(["deploy", "deploy", "test"]))) if how != "mw_target" else CallKind.SET_POINT, **{how: mw},
        )  # fmt: skip
        if how == "mw_delta":
            before.setdefault(contract.name, {}).setdefault("load_before_mw", {})[first.id] = full
        least = left_by_zero(contract)
        asks = {"mw_cap": (mw or least, 0.0), "mw_target": (mw, mw), "mw_delta": (max(least, full - mw), 0.0)}[how]
        sent, until = _ended(rng, first, length_s)
        found += sent
        if until is None or until > start:
            instructions.append(InstructedLoad(contract.name, names, Interval(start, until or over.end + timedelta(days=9)), *asks))
    return found, instructions, before


def left_by_zero(contract: Obligation) -> float:
    """What an instruction to go to 0 MW, or a reduction of all, leaves, MW: under ERS the base load, which is not sold."""
    if contract.type != "ers":
        return 0.0
    return contract.max_base_load_mw if contract.baseline == "alternate" else max(0.0, contract.baseline_mw - contract.mw)


def _ended(rng: np.random.Generator, call: Call, length_s: float) -> tuple[list[Call], datetime | None]:
    """The call and what followed it; when it stops to count (None: when nobody says so)."""
    what = rng.random()
    if what < 0.15:
        return [call, replace(call, version=2, kind=CallKind.CANCEL)], call.start_at
    if what < 0.4:
        at = call.start_at + timedelta(seconds=int(rng.uniform(0, 0.4) * length_s))
        ends = at if call.end_at is None else min(at, call.end_at)
        return [replace(call, version=2, kind=CallKind.RECALL, start_at=at, end_at=None), call], ends
    return [call], call.end_at


def awards(rng: np.random.Generator, name: str, products: Iterable[str], over: Grid, most_mw: float) -> list[Award]:
    """Day-ahead awards of some hours, and real-time awards that contradict them."""
    made = []
    hours = Grid.regular(over.start, over.start + timedelta(hours=max(1, int(sum(over.hours)))), 60)
    for product in products:
        for hour in hours.intervals:
            for way, chance in (("DAM", 0.4), ("RT", 0.1)):
                if rng.random() < chance:
                    mw, usd = round(float(rng.uniform(0, most_mw)), 2), round(float(rng.exponential(15)), 2)
                    made.append(
                        Award(source="chance", known_at=over.start - timedelta(hours=20), obligation=name, product=product, market=way,
                              over=hour, mw=mw, mcpc_usd_per_mw_h=usd)
                    )  # fmt: skip
    return made


def each(seeds: Iterable[int], holds: Callable[[int], None]) -> None:
    """Every seed, and the ones that broke the law by number."""
    broken = {}
    for seed in seeds:
        try:
            holds(seed)
        except Exception as fault:  # a plan that raises breaks the law too
            broken[seed] = f"{type(fault).__name__}: {fault}"
    first = "\n".join(f"seed {seed}: {text[:600]}" for seed, text in list(broken.items())[:5])
    assert not broken, f"{len(broken)} broken: {sorted(broken)[:40]}\n{first}"
