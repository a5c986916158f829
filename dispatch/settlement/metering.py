"""What the meters said of a day's load, in place of what telemetry adds up to; how far the two are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from dispatch.imports.meter_readings import ESTIMATED, MeterReading
from dispatch.store.received import MeterVintage, meter_vintages
from markets.grid import Grid, Interval, Market
from optimizer.domain.generator import Generator
from optimizer.domain.money import ZERO, Finding, decimal, plain
from optimizer.domain.site import Site

# Real-time telemetry may be this far from the revenue meter (what ERCOT asks of the accuracy of real-time data).
APART_SHARE = Decimal("0.03")
EXACT = Decimal("1e-12")
# Earlier states of a meter that are kept at hand, to show what a received statement stands on.
EARLIER = 6


@dataclass(frozen=True, slots=True)
class OneMeter:
    """What stands in the statement of a meter: None where no document says anything of an interval, shape (n,) each.

    mwh         net energy at the meter, before losses
    telemetry   what telemetry adds up to there, net of what is generated
    estimated   whether the meter's own figure is an estimate
    files       the documents used, newest first
    earlier     the newest document of earlier times, and the meter as it was known then
    """

    mwh: tuple[Decimal | None, ...]
    telemetry: tuple[Decimal, ...]
    estimated: tuple[bool, ...]
    files: tuple[MeterVintage, ...]
    earlier: tuple[tuple[MeterVintage, tuple[Decimal | None, ...]], ...] = ()

    @property
    def known(self) -> list[int]:
        return [n for n, mwh in enumerate(self.mwh) if mwh is not None]

    @property
    def totals(self) -> tuple[Decimal, Decimal]:
        """Meter and telemetry over the intervals that both know, MWh."""
        both = [n for n in self.known if not self.telemetry[n].is_nan()]
        return sum((self.mwh[n] or ZERO for n in both), ZERO), sum((self.telemetry[n] for n in both), ZERO)


@dataclass(frozen=True, slots=True)
class Metered:
    """Energy by group as the meters have it, where they say; telemetry elsewhere. `whole` are the positions that every meter with load
    speaks of, `meters` those that say anything of the day."""

    energy_mwh: dict[str, list[Decimal]]
    estimated: frozenset[int]
    whole: frozenset[int]
    meters: dict[str, OneMeter] = field(default_factory=dict)

    @property
    def known_at(self) -> datetime | None:
        return max((file.known_at for meter in self.meters.values() for file in meter.files), default=None)

    def source(self, n: int) -> str:
        """Where the energy of an interval comes from: meter, telemetry, or an estimate of either."""
        return ESTIMATED if n in self.estimated else "meter" if n in self.whole else "telemetry"

    def document(self) -> dict[str, Any]:
        """By meter, as JSON values."""
        out = {}
        for name, meter in self.meters.items():
            mwh, told = meter.totals
            out[name] = {
                "intervals": len(meter.known),
                "of": len(meter.mwh),
                "estimated": sum(meter.estimated),
                "mwh": plain(mwh),
                "telemetry_mwh": plain(told),
                "delta_mwh": plain(mwh - told),
                "files": [{"name": f.name, "sha256": f.sha256, "known_at": f.known_at.isoformat()} for f in meter.files],
            }
        return out

    def findings(self, site: Site, grid: Grid) -> list[Finding]:
        """Where the meter is silent in the midst of a day it speaks of, and where it is far from telemetry."""
        found = []
        for name, meter in self.meters.items():
            silent = [n for n, mwh in enumerate(meter.mwh) if mwh is None]
            if silent:
                first = grid.intervals[silent[0]].start.isoformat()
                text = f"meter {name} says nothing of {len(silent)} of {len(grid)} intervals, first {first}: they settle on telemetry"
                found.append(Finding("meter-gap", text))
            metered, told = meter.totals
            if abs(metered - told) > APART_SHARE * max(abs(metered), abs(told)):
                text = f"meter {name} has {metered:.3f} MWh where telemetry has {told:.3f}: more than {APART_SHARE:%} apart"
                found.append(Finding("meter-telemetry", text))
        return found


def metered(
    engine: Engine,
    site: Site,
    grid: Grid,
    known_at: datetime | None,
    telemetry: Mapping[str, Sequence[Decimal]],
    made: tuple[Mapping[str, tuple[Generator, ...]], Mapping[str, Sequence[Decimal]]],
    unread: frozenset[int],
) -> Metered:
    """Energy by group, MWh before losses: a meter's reading, plus what is generated behind it, shared as telemetry shares it.

    `telemetry` is by group, `made` by meter its generators and by contract the MWh they made, `unread` where telemetry is an estimate
    itself. Of several documents the newest that covers an interval whole counts. Raises LedgerUnavailable.
    """
    vintages = meter_vintages(engine, grid.over, known_at)
    energy = {group: list(values) for group, values in telemetry.items()}
    found: dict[str, OneMeter] = {}
    estimated: set[int] = set()
    whole = set(range(len(grid)))
    for meter in site.meters:
        groups = [g.name for g in site.groups if site.meter_of[g.name].id == meter.id]
        own = [v for v in vintages if v.meter == meter.id]
        if not groups:
            continue
        if not own:
            estimated, whole = estimated | unread, set()
            continue
        machines = [made[1][g.name] for g in made[0].get(meter.id, ())]
        generated = [sum((m[n] for m in machines), ZERO) for n in range(len(grid))]
        sums = tuple(sum((telemetry[g][n] for g in groups), ZERO) - generated[n] for n in range(len(grid)))
        found[meter.id] = one = _one(own, sums, grid, site.market)
        silent = {n for n, mwh in enumerate(one.mwh) if mwh is None}
        whole -= silent
        estimated |= {n for n in range(len(grid)) if one.estimated[n] or (n in silent and n in unread)}
        for n in one.known:
            for group, share in _shared(site, groups, (one.mwh[n] or ZERO) + generated[n], [telemetry[g][n] for g in groups]):
                energy[group][n] = share
    return Metered(energy, frozenset(estimated), frozenset(whole), found)


def _one(vintages: Sequence[MeterVintage], telemetry: tuple[Decimal, ...], grid: Grid, market: Market) -> OneMeter:
    mwh, estimated, used = _newest(vintages, grid, market)
    earlier = tuple((vintages[k], tuple(_newest(vintages[k:], grid, market)[0])) for k in range(1, min(len(vintages), EARLIER + 1)))
    return OneMeter(tuple(mwh), telemetry, tuple(estimated), tuple(used), earlier)


def _newest(vintages: Sequence[MeterVintage], grid: Grid, market: Market) -> tuple[list[Decimal | None], list[bool], list[MeterVintage]]:
    """Energy of each interval by the first document that covers it whole, whether it is an estimate, and the documents used."""
    mwh: list[Decimal | None] = [None] * len(grid)
    estimated = [False] * len(grid)
    used = []
    for vintage in vintages:
        news = False
        at = 0
        for n, over in enumerate(grid.intervals):
            while at < len(vintage.readings) and vintage.readings[at].over.end <= over.start:
                at += 1
            if mwh[n] is None and (piece := _within(vintage.readings, at, over, market)) is not None:
                (mwh[n], estimated[n]), news = piece, True
        if news:
            used.append(vintage)
    return mwh, estimated, used


def _within(readings: Sequence[MeterReading], at: int, over: Interval, market: Market) -> tuple[Decimal, bool] | None:
    """Energy of an interval from the readings that cover it, a longer one spread evenly; None unless they cover all of it.

    Spread evenly is MISO's own rule for hourly meters (BPM-005); elsewhere it makes an estimate.
    """
    total, covered, estimated = ZERO, over.start, False
    while at < len(readings) and readings[at].over.start < over.end:
        reading = readings[at]
        if reading.over.start > covered:
            return None
        inside = min(reading.over.end, over.end) - max(reading.over.start, over.start)
        whole = reading.over.end - reading.over.start
        total += reading.mwh if inside == whole else reading.mwh * Decimal(inside.total_seconds()) / Decimal(whole.total_seconds())
        covered = reading.over.end
        estimated |= reading.quality == ESTIMATED or (inside < whole and market is not Market.MISO)
        at += 1
    return (total, estimated) if covered >= over.end else None


def _shared(site: Site, groups: Sequence[str], mwh: Decimal, telemetry: Sequence[Decimal]) -> list[tuple[str, Decimal]]:
    """A meter's energy by group, adding up exactly: as telemetry has it, else by what the rigs can draw."""
    parts = [t for t in telemetry if not t.is_nan()]
    if len(parts) < len(telemetry) or not sum(parts):
        rated = {g.name: decimal(g.rigs) * decimal(g.full.watts) for g in site.groups}
        parts = [rated[g] for g in groups]
    whole = sum(parts, ZERO)
    shares = [(mwh * part / whole).quantize(EXACT) for part in parts[:-1]]
    return list(zip(groups, [*shares, mwh - sum(shares, ZERO)], strict=True))
