"""A day's load as the site's own revenue meters were read while it ran: what a bill is made from until the market's meter data comes.

The journal holds a reading of each tick and, of a meter that is read more often, the energy counted from all its readings. Where nothing
was counted, the meter counts with the mean of two readings that say the same or are a minute apart at most: what flowed between two that
differ is better known from the rigs, which are read every half minute. An interval counts where what is known covers all of it and no
reading of it is in doubt. The result is kept as roll-ups under the meter's name, for the bills of other days.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from sqlalchemy import Engine

from dispatch.power_meters import MeterId, MeterKind
from dispatch.settlement.day_journal import DayRecord, MetersRead
from dispatch.settlement.held_readings import READINGS_APART, Span, covered_mw_s
from dispatch.settlement.prices import NAN
from dispatch.store.rollups import EXACT, Rollup, read_rollups
from markets.grid import Grid, Interval
from optimizer.domain.money import ZERO, decimal
from optimizer.domain.site import Site

# A meter that does not follow its rigs is named within so long: what it read before is in doubt with it.
DOUBTED_WITHIN = timedelta(minutes=2)

# Two readings say the same when they are no further apart than this share of the larger, or close together in time.
STEADY_SHARE, CLOSE_TOGETHER = 0.02, timedelta(minutes=1)

# The share of an interval that was not read, of one that does not count.
UNREAD = 1.0

# By id of a revenue meter: MWh in each interval, NaN where its readings do not cover all of it.
LiveEnergy = Mapping[str, Sequence[Decimal]]


def live_rollups(site: Site, record: DayRecord, grid: Grid, net: Collection[str]) -> Iterable[Rollup]:
    """The rows to keep of meters that were read. An interval that readings do not cover is a row of no reading, in place of an earlier one:
    a doubt takes back what was read before it. Meters that read `net` of what is generated behind them are passed over, as they are where
    load is shown and limited."""
    for meter in site.meters:
        id = MeterId(MeterKind.METER, meter.id)
        if meter.id in net or not any(id in read.mw for read in record.meters_read):
            continue
        spans = _spans(id, record.meters_read, grid)
        for over, mw_s in zip(grid.intervals, covered_mw_s(spans, grid), strict=True):
            samples = sum(over.start <= start < over.end for start, _, _ in spans)
            mwh = ZERO if mw_s.is_nan() else (mw_s / 3600).quantize(EXACT)
            yield Rollup(str(id), over, mwh, ZERO, *((0, UNREAD) if mw_s.is_nan() else (samples, 0.0)))


def live_energy(engine: Engine, site: Site, grid: Grid) -> LiveEnergy:
    """What is kept, on a settlement grid. Raises LedgerUnavailable."""
    names = {str(MeterId(MeterKind.METER, meter.id)): meter.id for meter in site.meters}
    kept = read_rollups(engine, grid.over, site.market.settlement_min, list(names))
    rows = {(row.group, row.over): row.energy_mwh for row in kept if row.estimated < UNREAD}
    return {meter: [rows.get((name, over), NAN) for over in grid.intervals] for name, meter in names.items()}


def _spans(meter: MeterId, readings: Sequence[MetersRead], grid: Grid) -> list[Span]:
    """The spans between two readings of which it is known what flowed, in order."""
    in_order = _in_order(readings)
    ends = [*in_order[1:], *in_order[-1:]]  # a doubt lasts until the next reading
    doubts = [Interval(read.at - DOUBTED_WITHIN, until.at) for read, until in zip(in_order, ends, strict=True) if meter in read.doubted]
    found = list[Span]()
    for read, until in pairwise(in_order):
        start, end = read.read_at(meter), until.read_at(meter)
        known = meter in read.mw and meter in until.mw and start < end <= start + READINGS_APART
        if known and not any(doubt.overlaps(Interval(read.at, until.at)) for doubt in doubts):
            mw = _mean_mw(read, until, meter, grid)
            found += [(start, end, mw)] if mw is not None else []
    return found


def _mean_mw(read: MetersRead, until: MetersRead, meter: MeterId, grid: Grid) -> Decimal | None:
    """The mean load between two readings, MW: as counted, else the mean of the two where they leave no doubt; None where they do. A count
    over parts of two settlement intervals does not say what flowed in each, but for a part that is short."""
    start, end = read.read_at(meter), until.read_at(meter)
    first, second = read.mw[meter], until.mw[meter]
    steady = end - start <= CLOSE_TOGETHER or abs(first - second) <= STEADY_SHARE * max(abs(first), abs(second))
    before, after = read.counts.get(meter), until.counts.get(meter)
    if before is not None and after is not None and before.since == after.since and (steady or not _is_of_two(start, end, grid)):
        return (decimal(after.mwh) - decimal(before.mwh)) * 3600 / decimal((end - start).total_seconds())
    return (decimal(first) + decimal(second)) / 2 if steady else None


def _is_of_two(start: datetime, end: datetime, grid: Grid) -> bool:
    """Whether more than a short part of a span lies on either side of an edge of the grid."""
    return any(start + CLOSE_TOGETHER < over.start < end - CLOSE_TOGETHER for over in grid.intervals)


def _in_order(readings: Sequence[MetersRead]) -> list[MetersRead]:
    newest: dict[datetime, MetersRead] = {read.at: read for read in readings}
    return [newest[at] for at in sorted(newest)]
