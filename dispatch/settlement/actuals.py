"""What a day's rigs drew and hashed, at the meter, and the actuals that settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from sqlalchemy import Engine

from dispatch.settlement import prices
from dispatch.settlement.contract_memory import TEMPERATE_C, earlier
from dispatch.settlement.day_journal import DayRecord
from dispatch.settlement.generation import generated
from dispatch.settlement.metering import Metered, metered
from dispatch.settlement.prices import NAN, Settled
from dispatch.site_file.setup import Setup
from dispatch.store.rollups import Rollup, read_rollups, write_rollups
from dispatch.store.telemetry import Telemetry
from markets.facts import Temperature
from markets.grid import Grid, Interval
from optimizer.domain import reserve_awards
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import of_book
from optimizer.domain.money import decimal
from optimizer.domain.site import Site

# An interval settles on an estimate when more than this share of the rigs' time in it was not read (ERCOT allows real-time telemetry 3 %).
ESTIMATED_ABOVE = 0.03


@dataclass(frozen=True, slots=True)
class Measured:
    """The actuals of the part of a day that was run, and what they stand on.

    wall_mwh        by group: at the rigs, before overhead
    unread          the share of rig-time of each interval that was not read, 0..1, shape (n,)
    temperature_c   shape (n,)
    whole           the actuals span the whole operating day
    hash_source     where the hashprice came from, in words
    known_at        the newest vintage of any price or meter document used
    meters          what the meters said, and how far telemetry is from it
    prices          by settlement point, with their vintages
    """

    actuals: Actuals
    wall_mwh: dict[str, list[Decimal]]
    unread: list[float]
    temperature_c: list[float]
    whole: bool
    hash_source: str
    known_at: datetime | None
    meters: Metered
    prices: dict[str, Settled]


def measure(engine: Engine, telemetry: Telemetry, setup: Setup, record: DayRecord, known_at: datetime | None) -> Measured:
    """The actuals of a day on the market's settlement grid, cut to what was run. Roll-ups are made anew from telemetry where it is still
    kept, and stand in the ledger. Raises LookupError when nothing of the day was run."""
    site, day = setup.site, record.day
    if record.last is None:
        raise LookupError("the journal is empty: nothing was run")
    whole = day.grid()
    ended = [over for over in whole.intervals if over.end <= record.last]
    rows = _rollups(engine, telemetry, site, Interval(day.start, ended[-1].end) if ended else None)
    if not (run := [n for n, over in enumerate(ended) if any(_read(rows.get((g.name, over.start))) for g in site.groups)]):
        raise LookupError(f"nothing was run on {day.on.isoformat()} ({site.market.value} day)")
    grid = Grid(whole.edges[run[0] : len(ended) + 1])
    warm = [_celsius(record.temperatures, over.start) for over in grid.intervals]
    wall, drawn, hashed = _by_group(site, rows, grid, warm)
    energy, reserve = _priced(engine, setup, grid, known_at)
    hashing = prices.hashing(engine, setup, record, grid, known_at)
    unread, before = _unread(site, rows, grid), earlier(engine, setup, grid, known_at)
    made = generated(setup, record.plans, grid, drawn)
    write_rollups(engine, list(made.rollups(grid)))
    uncertain = frozenset(n for n, share in enumerate(unread) if share > ESTIMATED_ABOVE)
    meters = metered(engine, site, grid, known_at, drawn, (of_book(setup.book, site), made.mwh), uncertain)
    actuals = Actuals(
        site=site,
        grid=grid,
        energy_mwh=meters.energy_mwh,
        hash_ph_days=hashed,
        energy_price={p: s.values for p, s in energy.items()},
        hashprice=hashing.values,
        calls=tuple(c for c in record.calls if c.start_at < grid.end and (c.end_at is None or c.end_at > grid.start)),
        awards=tuple(a for a in record.awards if a.over.overlaps(grid.over)),
        price_source={p: s.source for p, s in energy.items()},
        estimated=meters.estimated,
        peak_share=before.peak_share,
        memory={**before.memory, **made.memory},
        generated_mwh=made.mwh,
        reserve_price={p: s.values for p, s in reserve.items()},
    )
    vintages = (s.known_at for s in (*energy.values(), *reserve.values(), hashing))
    newest = max((at for at in (*vintages, meters.known_at) if at), default=None)
    return Measured(actuals, wall, unread, warm, np.array_equal(grid.edges, whole.edges), hashing.source, newest, meters, energy)


def _priced(engine: Engine, setup: Setup, grid: Grid, known_at: datetime | None) -> tuple[dict[str, Settled], dict[str, Settled]]:
    """Energy by settlement point, reserve by product."""
    sold = sorted({reserve_awards.priced_as(p) for o in setup.book for p in getattr(o, "products", ())})
    energy = {p: prices.energy(engine, setup, p, grid, known_at) for p in setup.points}
    return energy, {p: prices.reserve(engine, p, grid, known_at) for p in sold}


def _by_group(
    site: Site, rows: dict[tuple[str, datetime], Rollup], grid: Grid, warm: list[float]
) -> tuple[dict[str, list[Decimal]], dict[str, list[Decimal]], dict[str, list[Decimal]]]:
    """MWh at the rigs, MWh at the meter and PH/s-days, by group; NaN where nothing was read."""
    wall: dict[str, list[Decimal]] = {}
    metered: dict[str, list[Decimal]] = {}
    hashed: dict[str, list[Decimal]] = {}
    for group in site.groups:
        taken = [rows.get((group.name, over.start)) for over in grid.intervals]
        wall[group.name] = [r.energy_mwh if r and _read(r) else NAN for r in taken]
        overhead = site.hall_of[group.name].overhead
        metered[group.name] = [mwh * (1 + decimal(overhead.at(c))) for mwh, c in zip(wall[group.name], warm, strict=True)]
        hashed[group.name] = [r.hash_ph_days if r and _read(r) else NAN for r in taken]
    return wall, metered, hashed


def _rollups(engine: Engine, telemetry: Telemetry, site: Site, over: Interval | None) -> dict[tuple[str, datetime], Rollup]:
    if over is None:
        return {}
    step_min = site.market.settlement_min
    fresh = telemetry.rollup(over, step_min)
    if any(_read(r) for r in fresh):
        write_rollups(engine, fresh)
    else:
        fresh = read_rollups(engine, over, step_min)
    return {(r.group, r.over.start): r for r in fresh}


def _read(row: Rollup | None) -> bool:
    """Whether anything at all is known of a group's rigs in an interval."""
    return row is not None and not (row.estimated >= 1.0 and row.samples == 0 and row.energy_mwh == 0)


def _unread(site: Site, rows: dict[tuple[str, datetime], Rollup], grid: Grid) -> list[float]:
    rigs = sum(g.rigs for g in site.groups)
    shares = []
    for over in grid.intervals:
        taken = [(g.rigs, rows.get((g.name, over.start))) for g in site.groups]
        shares.append(round(sum(n * (r.estimated if r else 1.0) for n, r in taken) / rigs, 9))
    return shares


def _celsius(facts: Sequence[Temperature], at: datetime) -> float:
    """Outside air at an instant: the newest word on it, else the last reading before, else a temperate 25 C."""
    holding = max((t for t in facts if at in t.over), key=lambda t: t.known_at, default=None)
    before = max((t for t in facts if t.over.end <= at), key=lambda t: (t.over.end, t.known_at), default=None)
    found = holding or before
    return found.celsius if found else TEMPERATE_C
