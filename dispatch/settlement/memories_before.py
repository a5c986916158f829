"""What contracts remember of the time before an instant, from the ledger: for the bill of a day and for the plans of a run that starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from dispatch.settlement.day_awards import day_awards
from dispatch.settlement.generation import generation_in_rollups
from dispatch.settlement.kept_memories import keep, made_from_now, newest_kept
from dispatch.settlement.metering import metered_load
from dispatch.settlement.outside_air import temperatures_c, temperatures_seen
from dispatch.settlement.prices import NAN, all_reserve_prices, energy_prices, hashprices
from dispatch.settlement.rollups import load_by_cohort, not_kept
from dispatch.settlement.run_hours import last_observed_at, run_positions, run_stretches
from dispatch.settlement.signals import LATE, NOTICE, signals_seen
from dispatch.site_file.setup import Setup
from dispatch.store.rollups import read_rollups, write_rollups
from dispatch.store.settled_memories import KEPT
from dispatch.store.telemetry import Telemetry
from markets.facts import Award, Call, HashEconomics, Temperature
from markets.grid import Grid, Interval, OperatingDay
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import remember
from optimizer.domain.book import generators_by_meter
from optimizer.domain.memory import Memory


@dataclass(frozen=True, slots=True)
class _Before:
    """What all days before an instant are read with."""

    engine: Engine
    telemetry: Telemetry
    setup: Setup
    temperatures: Sequence[Temperature]
    economics: Sequence[HashEconomics]
    calls: Sequence[Call]
    awards: tuple[Award, ...]
    known_at: datetime | None


def memories_before(engine: Engine, telemetry: Telemetry, setup: Setup, until: datetime, known_at: datetime | None) -> dict[str, Memory]:
    """By contract name, of the contracts that remember days: the hours that were run before `until`, which begins a settlement interval,
    with what was known at `known_at` (None: now). With what is known now it goes on from the newest memory that the ledger keeps and
    nothing has changed, and keeps those of the days it reads. Roll-ups that the ledger lacks are made from telemetry and kept. Raises
    LedgerUnavailable, JournalBroken."""
    days = _operating_days(setup, until, max((o.memory_days() for o in setup.book), default=0))
    if not days:
        return {}
    remembered = Interval(days[0].start, until)
    made_from = made_from_now(engine, setup) if known_at is None else None
    kept = newest_kept(engine, setup, remembered, made_from.outside) if made_from else None
    memory, days = (dict(kept.by_contract), [d for d in days if d.start >= kept.until]) if kept else ({}, days)
    if not days:
        return memory
    stretches = run_stretches(engine, Interval(days[0].start, until))
    run = [(day, mask) for day in days if (mask := run_positions(stretches, _grid(setup, day))).any()]
    if not run:
        return memory
    read = _read_before(engine, telemetry, setup, Interval(run[0][0].start, until), remembered, known_at)
    observed_at = last_observed_at(engine)
    for day, was_run in run:
        memory = remember(setup.book, memory, _actuals(read, day, was_run))
        if made_from and observed_at and day.end > until - KEPT and _is_over(setup, day, observed_at):
            keep(engine, made_from, day.end, memory)
    return memory


def _read_before(
    engine: Engine, telemetry: Telemetry, setup: Setup, over: Interval, remembered: Interval, known_at: datetime | None
) -> _Before:
    """What the days of a span are read with. A call or an award of them may have come as early as contracts remember, or late."""
    near, ever = Interval(over.start - NOTICE, over.end), Interval(remembered.start - NOTICE, over.end + LATE)
    return _Before(
        engine, telemetry, setup,
        temperatures_seen(engine, over, known_at), signals_seen(engine, HashEconomics, near, known_at),
        signals_seen(engine, Call, ever, known_at), signals_seen(engine, Award, ever, known_at), known_at,
    )  # fmt: skip


def _is_over(setup: Setup, day: Interval, observed_at: datetime) -> bool:
    """Whether a span is a complete operating day and the journal goes on after it, so that no more of it is run."""
    return observed_at >= day.end and OperatingDay.of(setup.site.market, day.start).over == day


def memories_at_start(engine: Engine, telemetry: Telemetry, setup: Setup, at: datetime) -> dict[str, Memory]:
    """The same for a run that starts at `at`: up to the settlement interval that is running then."""
    step_s = setup.site.market.settlement_min * 60
    return memories_before(engine, telemetry, setup, at - timedelta(seconds=at.timestamp() % step_s), None)


def _operating_days(setup: Setup, until: datetime, number: int) -> list[Interval]:
    """The given number of operating days before the day of an instant, and that day up to the instant; none when `number` is 0."""
    market = setup.site.market
    today = OperatingDay.of(market, until)
    days = [OperatingDay(market, today.on - timedelta(days=n)).over for n in range(number, 0, -1)] if number else []
    return [*days, Interval(today.start, until)] if number and today.start < until else days


def _grid(setup: Setup, over: Interval) -> Grid:
    return Grid.regular(over.start, over.end, setup.site.market.settlement_min)


def _actuals(read: _Before, over: Interval, was_run: NDArray[np.bool_]) -> Actuals:
    """Actuals of a span from meters, else from roll-ups; NaN where nobody ran the site or nothing was read."""
    engine, setup, grid = read.engine, read.setup, _grid(read.setup, over)
    _keep_rollups(read, grid, was_run)
    site, energy, hashed = load_by_cohort(engine, setup.site, setup.book, grid, temperatures_c(read.temperatures, grid))
    behind = generators_by_meter(setup.book, site)
    machines = [made.name for there in behind.values() for made in there]
    rows = {(r.group, r.over.start): r for r in read_rollups(engine, over, site.market.settlement_min, machines)} if machines else {}
    made = generation_in_rollups(setup, rows, grid)
    telemetry = {g: _run_only(values, was_run) for g, values in energy.items()}
    metered = metered_load(engine, site, grid, read.known_at, telemetry, (behind, made), frozenset()).energy_mwh
    reserve, awards = _paid_for_services(read, grid)
    return Actuals(
        site=site,
        grid=grid,
        energy_mwh={g: _run_only(values, was_run) for g, values in metered.items()},
        hash_ph_days={g: _run_only(values, was_run) for g, values in hashed.items()},
        energy_price={p: energy_prices(engine, setup, p, grid, read.known_at).values for p in setup.settlement_points},
        hashprice=hashprices(engine, setup, read.economics, grid, read.known_at).values,
        calls=tuple(c for c in read.calls if c.start_at < over.end),
        awards=awards,
        reserve_price=reserve,
        generated_mwh=made,
        generators=behind,
    )


def _paid_for_services(read: _Before, grid: Grid) -> tuple[dict[str, Sequence[Decimal]], tuple[Award, ...]]:
    """Reserve prices, and awards at the prices that pay them, where a contract remembers what others were paid."""
    if not any(o.charged_on() and o.memory_days() for o in read.setup.book):
        return {}, read.awards
    prices = all_reserve_prices(read.engine, read.setup, grid, read.known_at)
    awards = day_awards(read.engine, read.setup, read.awards, grid, read.known_at).awards
    return {product: price.values for product, price in prices.items()}, awards


def _keep_rollups(read: _Before, grid: Grid, was_run: NDArray[np.bool_]) -> None:
    """Make the roll-ups that the ledger lacks: of a day that was run and never settled."""
    lacking = was_run & not_kept(read.engine, read.setup.site, grid)
    if lacking.any():
        starts = {grid.intervals[n].start for n in np.flatnonzero(lacking).tolist()}
        rows = read.telemetry.rollup(grid.over, read.setup.site.market.settlement_min)
        write_rollups(read.engine, [row for row in rows if row.over.start in starts])


def _run_only(values: Iterable[Decimal], was_run: NDArray[np.bool_]) -> list[Decimal]:
    return [value if ran else NAN for value, ran in zip(values, was_run.tolist(), strict=True)]
