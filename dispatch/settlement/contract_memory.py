"""The time before a day as its contracts remember it, and the month's coincident peaks as far as they are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine, select

from dispatch.entries import Seen
from dispatch.settlement.generation import generation_in_rollups
from dispatch.settlement.metering import metered_load
from dispatch.settlement.prices import NAN, energy_prices
from dispatch.settlement.rollups import load_by_cohort
from dispatch.settlement.signals import NOTICE, signals_seen
from dispatch.site_file.setup import Setup
from dispatch.store.journal import SqlJournal
from dispatch.store.rollups import read_rollups
from dispatch.store.tables import journal, reading
from markets.facts import Award, Call, SystemLoad, Temperature
from markets.forecasting.peaks import coincident_peak_share, newest, peak_span
from markets.grid import Grid, Interval
from markets.outlook import PeakWindow
from optimizer.domain.actuals import Actuals
from optimizer.domain.book import generators_by_meter, peak_windows, remember
from optimizer.domain.memory import Memory
from optimizer.domain.money import decimal

# Outside air where no temperature is known.
TEMPERATE_C = 25.0


@dataclass(frozen=True, slots=True)
class PriorPeriod:
    """What a day's bill needs of the time before it, as in Actuals: peak_share by metered interval, memory by obligation."""

    peak_share: Mapping[PeakWindow, Sequence[Decimal]] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)


def prior_period(engine: Engine, setup: Setup, grid: Grid, known_at: datetime | None) -> PriorPeriod:
    """Read what the book's contracts ask of the time before a day; nothing when none asks. Raises LedgerUnavailable, JournalBroken."""
    windows = peak_windows(setup.book)
    remembering = [o for o in setup.book if o.memory_days()]
    if not windows and not remembering:
        return PriorPeriod()
    loads, temperatures = _loads_and_temperatures(engine, peak_span(setup.site.market, grid, windows or (15,)), known_at)
    share = {window: coincident_peak_share(loads, grid, setup.site.market, window).values for window in windows}
    memory: dict[str, Memory] = {}
    days = _days(grid.start, max((o.memory_days() for o in remembering), default=0))
    told = Interval(days[0].start - NOTICE, grid.end) if days else None
    calls = signals_seen(engine, Call, told, known_at) if told else ()
    awards = signals_seen(engine, Award, told, known_at) if told else ()
    for day in days:
        then = _actuals(engine, setup, day, temperatures, calls, known_at)
        then = replace(then, awards=awards) if then is not None else None
        memory = remember(setup.book, memory, then) if then is not None else memory
    exact = {window: [decimal(float(v)) for v in values] for window, values in share.items()}
    return PriorPeriod(exact, memory)


def loads_at_notice(setup: Setup, calls: Sequence[Call], grid: Grid, energy_mwh: Mapping[str, Sequence[Decimal]]) -> dict[str, float]:
    """By call id, the metered load of the called contract's scope in the last full interval before the notice, MW; left out where the grid
    or the meters do not know it."""
    scopes = {o.name: o.scope.names(setup.site) for o in setup.book}
    loads: dict[str, float] = {}
    for call in calls:
        at = grid.index(call.notice_at) - 1 if call.notice_at in grid.over else -1
        if at >= 0 and call.obligation in scopes:
            mwh = sum((energy_mwh[group][at] for group in scopes[call.obligation]), Decimal(0))
            if not mwh.is_nan():
                loads.setdefault(call.id, float(mwh) / grid.intervals[at].hours)
    return loads


def _loads_and_temperatures(engine: Engine, span: Interval, known_at: datetime | None) -> tuple[tuple[SystemLoad, ...], list[Temperature]]:
    """System loads of a span and all temperatures, as the journal has them by now."""
    with reading(engine) as connection:
        wanted = select(journal.c.seq).where(journal.c.kind == "Seen", journal.c.at >= span.start).order_by(journal.c.seq).limit(1)
        first = connection.execute(wanted).scalar()
    loads: list[SystemLoad] = []
    temperatures: list[Temperature] = []
    for _, entry in SqlJournal(engine).read(after=first - 1) if first is not None else ():
        if not isinstance(entry, Seen):
            continue
        if entry.at > span.end + timedelta(days=3):
            break
        for fact in entry.facts:
            if known_at is not None and fact.known_at > known_at:
                continue
            if isinstance(fact, SystemLoad) and fact.over.overlaps(span):
                loads.append(fact)
            elif isinstance(fact, Temperature):
                temperatures.append(fact)
    return newest(loads), temperatures


def _days(until: datetime, days: int) -> list[Interval]:
    """The given number of UTC days before the day of an instant, and that day up to the instant; none when `days` is 0."""
    if not days:
        return []
    midnight = until.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    edges = [midnight - timedelta(days=n) for n in range(days, -1, -1)]
    spans = [Interval(a, b) for a, b in zip(edges, edges[1:], strict=False)]
    return [*spans, *([Interval(midnight, until)] if midnight < until else [])]


def _actuals(
    engine: Engine,
    setup: Setup,
    over: Interval,
    temperatures: Sequence[Temperature],
    calls: Sequence[Call],
    known_at: datetime | None,
) -> Actuals | None:
    """Actuals of a span from meters, else from the ledger's roll-ups; None when there are no roll-ups."""
    grid = Grid.regular(over.start, over.end, setup.site.market.settlement_min)
    warm = [max((t for t in temperatures if i.start in t.over), key=lambda t: t.known_at, default=None) for i in grid.intervals]
    site, energy, hashed = load_by_cohort(engine, setup.site, setup.book, grid, [t.celsius if t else TEMPERATE_C for t in warm])
    if all(mwh.is_nan() for values in energy.values() for mwh in values):
        return None
    machines = [made.name for behind in generators_by_meter(setup.book, setup.site).values() for made in behind]
    rows = {(r.group, r.over.start): r for r in read_rollups(engine, over, site.market.settlement_min, machines)} if machines else {}
    made, behind = generation_in_rollups(setup, rows, grid), generators_by_meter(setup.book, site)
    telemetry = {g: list(v) for g, v in energy.items()}
    return Actuals(
        site=site,
        grid=grid,
        energy_mwh=metered_load(engine, site, grid, known_at, telemetry, (behind, made), frozenset()).energy_mwh,
        hash_ph_days={g: list(v) for g, v in hashed.items()},
        energy_price={p: energy_prices(engine, setup, p, grid, known_at).values for p in setup.settlement_points},
        hashprice=[NAN] * len(grid),
        calls=tuple(c for c in calls if c.start_at < over.end),
        generated_mwh=made,
        generators=behind,
    )
