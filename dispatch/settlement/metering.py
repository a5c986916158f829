"""A day's load by its revenue meters, in place of telemetry where they are read; how far the two are apart.

The market's own meter data, as imported, counts first; then what the site read of the meter while it ran; then telemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine

from dispatch.imports.meter_readings import DOUBTFUL_HIGH, DOUBTFUL_LOW, ESTIMATED, MeterReading
from dispatch.settlement.document import MeterRow
from dispatch.settlement.live_meters import live_energy
from dispatch.settlement.prices import NAN
from dispatch.store.received import MeterVintage, meter_vintages
from markets import counted
from markets.grid import Grid, Interval, Market
from optimizer.domain.generator import Generator
from optimizer.domain.money import ZERO, Finding, decimal, plain
from optimizer.domain.site import Meter, Site

# Telemetry further than this from the revenue meter is a finding (ERCOT's accuracy for real-time telemetry).
TOLERATED_SHARE = Decimal("0.03")
LIVE = "live meter"
EXACT = Decimal("1e-12")
# A doubtful reading counts unless telemetry is nearer to a thousand times it, or to a thousandth: the square root of a thousand is between.
BETWEEN_UNITS = Decimal("31.6")
# How many earlier states of a meter are returned, to explain a received statement that was made on one of them.
EARLIER_STATES = 6


@dataclass(frozen=True, slots=True)
class MeterRecord:
    """A revenue meter over a day, shape (n,) each.

    mwh         net energy at the meter, before losses; None where no document covers the interval
    telemetry   what telemetry adds up to there, net of generation, MWh
    estimated   whether the meter's own figure is an estimate
    files       the documents used, newest first
    refused     positions whose reading cannot be: more flows out than the site file allows, or than is generated there
    earlier     earlier states: the newest document then, and `mwh` as it was known then
    live        positions at which no document says anything, and the site's own readings of the meter count
    """

    mwh: tuple[Decimal | None, ...]
    telemetry: tuple[Decimal, ...]
    estimated: tuple[bool, ...]
    files: tuple[MeterVintage, ...]
    refused: tuple[int, ...] = ()
    earlier: tuple[tuple[MeterVintage, tuple[Decimal | None, ...]], ...] = ()
    live: frozenset[int] = frozenset()

    @property
    def known(self) -> list[int]:
        """Positions with a reading."""
        return [n for n, mwh in enumerate(self.mwh) if mwh is not None]

    @property
    def totals(self) -> tuple[Decimal, Decimal]:
        """Meter and telemetry over the intervals that both have, MWh."""
        both = [n for n in self.known if not self.telemetry[n].is_nan()]
        return sum((self.mwh[n] or ZERO for n in both), ZERO), sum((self.telemetry[n] for n in both), ZERO)


@dataclass(frozen=True, slots=True)
class MeteredLoad:
    """Energy by group: from revenue meters where they are read, from telemetry elsewhere.

    energy_mwh      by group, before losses, shape (n,)
    estimated       positions that settle on an estimate
    fully_metered   positions at which every meter with load is read
    rigs_mwh        all groups by telemetry alone, the halls' overhead included, MWh; NaN where a group has none
    meters          by id: those that are read in any interval
    """

    energy_mwh: dict[str, list[Decimal]]
    estimated: frozenset[int]
    fully_metered: frozenset[int]
    rigs_mwh: tuple[Decimal, ...] = ()
    meters: dict[str, MeterRecord] = field(default_factory=dict)

    @property
    def known_at(self) -> datetime | None:
        """When the newest document used was known."""
        return max((file.known_at for meter in self.meters.values() for file in meter.files), default=None)

    def without(self, positions: frozenset[int]) -> MeteredLoad:
        """The same with nothing known at some positions: a meter reads on while nobody runs the site."""
        energy = {g: [NAN if n in positions else mwh for n, mwh in enumerate(values)] for g, values in self.energy_mwh.items()}
        known = self.fully_metered - positions
        return MeteredLoad(energy, self.estimated - positions, known, self.rigs_mwh, self.meters) if positions else self

    def source(self, n: int) -> str:
        """Where the energy of an interval comes from: "meter" for documents of the market, "live meter" where readings of the site's own
        meter are among it, "telemetry", or "estimated" from any."""
        if n in self.estimated:
            return ESTIMATED
        if n not in self.fully_metered:
            return "telemetry"
        return LIVE if any(n in meter.live for meter in self.meters.values()) else "meter"

    def is_metered(self, n: int) -> bool:
        """Whether any meter is read in an interval."""
        return any(meter.mwh[n] is not None for meter in self.meters.values())

    def rows(self) -> dict[str, MeterRow]:
        """By meter, as the statement has them."""
        out: dict[str, MeterRow] = {}
        for name, meter in self.meters.items():
            metered, telemetry = meter.totals
            out[name] = {
                "intervals": len(meter.known),
                "of": len(meter.mwh),
                "estimated": sum(meter.estimated),
                "mwh": plain(metered),
                "telemetry_mwh": plain(telemetry),
                "delta_mwh": plain(metered - telemetry),
                "files": [{"name": f.name, "sha256": f.sha256, "known_at": f.known_at.isoformat()} for f in meter.files],
            }
            if meter.live:
                out[name]["live_intervals"] = len(meter.live)
        return out

    def findings(self, grid: Grid) -> Iterable[Finding]:
        """Intervals that a meter's documents leave out, and meters far from telemetry. That the site's own readings of a meter do not cover
        an interval, as at each start, is no finding: its source says so, and a meter that falls silent is an alert."""
        for name, meter in self.meters.items():
            missing = [n for n, mwh in enumerate(meter.mwh) if mwh is None and n not in meter.refused]
            if meter.refused:
                first = grid.intervals[meter.refused[0]].start.isoformat()
                what = f"meter {name} reads energy flowing out in {len(meter.refused)} of {counted(len(grid), 'interval')}, first {first}"
                yield Finding("meter-export", f"{what}, more than is generated there or than export_mw allows: they settle on telemetry")
            if missing and meter.files:
                first = grid.intervals[missing[0]].start.isoformat()
                what = f"meter {name} has no reading for {len(missing)} of {counted(len(grid), 'interval')}, first {first}"
                yield Finding("meter-gap", f"{what}: they settle on telemetry")
            metered, telemetry = meter.totals
            if abs(metered - telemetry) > TOLERATED_SHARE * max(abs(metered), abs(telemetry)):
                what = f"meter {name} reads {metered:.3f} MWh where telemetry has {telemetry:.3f} MWh"
                yield Finding("meter-telemetry", f"{what}: more than {TOLERATED_SHARE:%} apart")


def metered_load(
    engine: Engine,
    site: Site,
    grid: Grid,
    known_at: datetime | None,
    telemetry: Mapping[str, Sequence[Decimal]],
    generation: tuple[Mapping[str, tuple[Generator, ...]], Mapping[str, Sequence[Decimal]]],
    estimated_telemetry: frozenset[int],
) -> MeteredLoad:
    """A meter's reading, plus what is generated behind it, is shared among its groups in proportion to telemetry.

    telemetry             MWh by group
    generation            generators by meter, and the MWh they made by contract
    estimated_telemetry   positions at which telemetry is itself an estimate

    Of several documents the newest that covers all of an interval counts, else the site's own readings. Raises LedgerUnavailable.
    """
    vintages, live = meter_vintages(engine, grid.over, known_at), live_energy(engine, site, grid)
    energy = {group: list(values) for group, values in telemetry.items()}
    found: dict[str, MeterRecord] = {}
    estimated, fully_metered = set[int](), set(range(len(grid)))
    for meter in site.meters:
        groups, own = [g.name for g in site.groups if site.meter_of[g.name].id == meter.id], [v for v in vintages if v.meter == meter.id]
        if not groups:
            continue
        if not own and all(mwh.is_nan() for mwh in live[meter.id]):
            estimated, fully_metered = estimated | estimated_telemetry, set()
            continue
        generated = _generated(meter.id, *generation, len(grid))
        sums = tuple(sum((telemetry[g][n] for g in groups), ZERO) - generated[n] for n in range(len(grid)))
        confirmed = _confirmed_vintages(own, [NAN if n in estimated_telemetry else mwh for n, mwh in enumerate(sums)], grid)
        record = _with_live(_record(confirmed, sums, grid, site.market), live[meter.id])
        found[meter.id] = record = _without_impossible(record, meter, generated)
        unread = {n for n, mwh in enumerate(record.mwh) if mwh is None}
        fully_metered -= unread
        estimated |= {n for n in range(len(grid)) if record.estimated[n] or (n in unread and n in estimated_telemetry)}
        for n in record.known:
            for group, share in _shared(site, groups, (record.mwh[n] or ZERO) + generated[n], [telemetry[g][n] for g in groups]):
                energy[group][n] = share
    return MeteredLoad(energy, frozenset(estimated), frozenset(fully_metered), _sums(telemetry, len(grid)), found)


def _sums(telemetry: Mapping[str, Sequence[Decimal]], number: int) -> tuple[Decimal, ...]:
    """All groups in each of `number` intervals, MWh; NaN where a group has no telemetry."""
    return tuple(sum((values[n] for values in telemetry.values()), ZERO) for n in range(number))


def _with_live(record: MeterRecord, live: Sequence[Decimal]) -> MeterRecord:
    """The record with the site's own readings where no document says anything."""
    positions = frozenset(n for n, mwh in enumerate(record.mwh) if mwh is None and not live[n].is_nan())
    return replace(record, mwh=tuple(live[n] if n in positions else mwh for n, mwh in enumerate(record.mwh)), live=positions)


def _confirmed_vintages(vintages: Sequence[MeterVintage], telemetry: Sequence[Decimal], grid: Grid) -> list[MeterVintage]:
    return [replace(v, readings=tuple(r for r in v.readings if _confirmed(r, telemetry, grid))) for v in vintages]


def _confirmed(reading: MeterReading, telemetry: Sequence[Decimal], grid: Grid) -> bool:
    """Whether a reading counts: a doubtful one does unless telemetry shows that it is in another unit."""
    if reading.quality not in (DOUBTFUL_LOW, DOUBTFUL_HIGH):
        return True
    inside = [n for n, over in enumerate(grid.intervals) if over.overlaps(reading.over) and not telemetry[n].is_nan()]
    if not inside:
        return reading.quality == DOUBTFUL_LOW  # rigs without power are silent
    hours = sum((decimal(grid.intervals[n].hours) for n in inside), ZERO)
    telemetry_mw = abs(sum((telemetry[n] for n in inside), ZERO)) / hours
    mw = abs(reading.mwh) / decimal(reading.over.hours)
    if reading.quality == DOUBTFUL_LOW:
        return telemetry_mw <= BETWEEN_UNITS * mw
    return telemetry_mw * BETWEEN_UNITS >= mw


def _without_impossible(record: MeterRecord, meter: Meter, generated: Sequence[Decimal]) -> MeterRecord:
    """The record without readings of energy flowing out where none can: a meter never earns by reading the wrong way round."""

    def impossible(n: int, mwh: Decimal | None) -> bool:
        return mwh is not None and mwh < 0 and (not meter.export_mw or (not generated[n].is_nan() and mwh + generated[n] < 0))

    refused = tuple(n for n, mwh in enumerate(record.mwh) if impossible(n, mwh))
    if not refused:
        return record
    return replace(
        record,
        mwh=tuple(None if n in refused else mwh for n, mwh in enumerate(record.mwh)),
        estimated=tuple(is_ and n not in refused for n, is_ in enumerate(record.estimated)),
        live=record.live - frozenset(refused),
        refused=refused,
    )


def _generated(
    meter: str, generators: Mapping[str, tuple[Generator, ...]], mwh: Mapping[str, Sequence[Decimal]], number: int
) -> list[Decimal]:
    """What is generated behind a meter in each of `number` intervals, MWh."""
    made = [mwh[generator.name] for generator in generators.get(meter, ())]
    return [sum((values[n] for values in made), ZERO) for n in range(number)]


def _record(vintages: Sequence[MeterVintage], telemetry: tuple[Decimal, ...], grid: Grid, market: Market) -> MeterRecord:
    mwh, estimated, used = _newest(vintages, grid, market)
    earlier = tuple((vintages[k], tuple(_newest(vintages[k:], grid, market)[0])) for k in range(1, min(len(vintages), EARLIER_STATES + 1)))
    return MeterRecord(tuple(mwh), telemetry, tuple(estimated), tuple(used), earlier=earlier)


def _newest(vintages: Sequence[MeterVintage], grid: Grid, market: Market) -> tuple[list[Decimal | None], list[bool], list[MeterVintage]]:
    """Energy of each interval by the first document that covers all of it, whether it is an estimate, and the documents used."""
    mwh: list[Decimal | None] = [None] * len(grid)
    estimated = [False] * len(grid)
    used = []
    for vintage in vintages:
        is_used = False
        first = 0
        for n, over in enumerate(grid.intervals):
            while first < len(vintage.readings) and vintage.readings[first].over.end <= over.start:
                first += 1
            if mwh[n] is None and (reading := _within(vintage.readings, first, over, market)) is not None:
                (mwh[n], estimated[n]), is_used = reading, True
        if is_used:
            used.append(vintage)
    return mwh, estimated, used


def _within(readings: Sequence[MeterReading], first: int, over: Interval, market: Market) -> tuple[Decimal, bool] | None:
    """Energy of an interval from the readings that cover it, from position `first` on; None unless they cover all of it.

    A longer reading is spread evenly: MISO's own rule for hourly meters (BPM-005); elsewhere that makes an estimate.
    """
    total, covered, estimated = ZERO, over.start, False
    for k in range(first, len(readings)):
        reading = readings[k]
        if reading.over.start >= over.end:
            break
        if reading.over.start > covered:
            return None
        inside = min(reading.over.end, over.end) - max(reading.over.start, over.start)
        length = reading.over.end - reading.over.start
        total += reading.mwh if inside == length else reading.mwh * Decimal(inside.total_seconds()) / Decimal(length.total_seconds())
        covered = reading.over.end
        estimated |= reading.quality == ESTIMATED or (inside < length and market is not Market.MISO)
    return (total, estimated) if covered >= over.end else None


def _shared(site: Site, groups: Sequence[str], mwh: Decimal, telemetry: Sequence[Decimal]) -> list[tuple[str, Decimal]]:
    """A meter's energy by group, adding up exactly: in proportion to telemetry, else to what the rigs can draw."""
    parts = [t for t in telemetry if not t.is_nan()]
    if len(parts) < len(telemetry) or not sum(parts):
        rated = {g.name: decimal(g.rigs) * decimal(g.full.watts) for g in site.groups}
        parts = [rated[g] for g in groups]
    total = sum(parts, ZERO)
    shares = [(mwh * part / total).quantize(EXACT) for part in parts[:-1]]
    return list(zip(groups, [*shares, mwh - sum(shares, ZERO)], strict=True))
