"""Checks the meter readings of one file: readings that are missing, duplicate, overlapping or in another unit become findings and are
left out.

A reading that is a thousand times, or a thousandth of, those beside it may be in another unit, or a real trip of the site: it is kept as
doubtful, and telemetry decides when the day is settled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from statistics import median

from markets.grid import Interval
from optimizer.domain.money import Finding

ACTUAL, ESTIMATED = "actual", "estimated"
# Qualities of a reading that telemetry must confirm: far below, or far above, those beside it.
DOUBTFUL_LOW, DOUBTFUL_HIGH = "doubtful-low", "doubtful-high"
DELIVERED, RETURNED = "delivered", "returned"
MWH_PER = {"wh": Decimal("1e-6"), "kwh": Decimal("1e-3"), "mwh": Decimal(1), "w": Decimal("1e-6"), "kw": Decimal("1e-3"), "mw": Decimal(1)}
POWER = ("w", "kw", "mw")
# A reading this many times its neighbours, or this small a part of them, is one in kWh among MWh, or the other way round.
THOUSAND = (800, 1200)
NEIGHBOURS = 3
# Gaps named one by one; the rest are counted.
NAMED = 20


@dataclass(frozen=True, slots=True)
class MeterReading:
    """Net energy of a meter over an interval, MWh before losses; negative flows out. `quality` is actual, estimated or doubtful, `row` its
    place."""

    meter: str
    over: Interval
    mwh: Decimal
    quality: str
    row: int


@dataclass(frozen=True, slots=True)
class RawReading:
    """A row of the file before the checks: `value` in `unit`, `flow` delivered to the site or returned by it."""

    meter: str
    over: Interval
    value: Decimal
    unit: str
    quality: str
    row: int
    flow: str = DELIVERED

    @property
    def mwh(self) -> Decimal:
        hours = Decimal(int((self.over.end - self.over.start).total_seconds())) / 3600 if self.unit in POWER else Decimal(1)
        return self.value * MWH_PER[self.unit] * hours


@dataclass(frozen=True, slots=True)
class ImportedReadings:
    """The readings of a file that can be settled, by meter and time, those that count only where telemetry agrees, and what is wrong with
    the rest. `rows` were read."""

    readings: tuple[MeterReading, ...]
    findings: tuple[Finding, ...]
    rows: int
    doubtful: tuple[MeterReading, ...] = ()

    @property
    def kept(self) -> tuple[MeterReading, ...]:
        """All that is kept of the file."""
        return (*self.readings, *self.doubtful)


def checked_readings(raws: Sequence[RawReading], findings: Iterable[Finding], rows: int, most_mw: float | None = None) -> ImportedReadings:
    """Raw rows checked, and delivered less returned energy by meter. `most_mw` is the most a meter can carry: more must be another unit."""
    found = list(findings)
    channels: dict[tuple[str, str], list[RawReading]] = {}
    for raw in raws:
        channels.setdefault((raw.meter, raw.flow), []).append(raw)
    kept = {key: _channel(of, found, most_mw) for key, of in channels.items()}
    readings: list[MeterReading] = []
    doubtful: list[MeterReading] = []
    for meter in dict.fromkeys(meter for meter, _ in channels):
        delivered, returned = kept.get((meter, DELIVERED), []), kept.get((meter, RETURNED))
        netted = _net(delivered, returned, found) if returned is not None else [_reading(r) for r in delivered]
        readings += [r for r in netted if r.quality in (ACTUAL, ESTIMATED)]
        doubtful += [r for r in netted if r.quality not in (ACTUAL, ESTIMATED)]
        found += _missing(meter, netted)
    return ImportedReadings(tuple(readings), tuple(found), rows, tuple(doubtful))


def _channel(raws: list[RawReading], found: list[Finding], most_mw: float | None) -> list[RawReading]:
    usual = Counter(raw.unit for raw in raws).most_common(1)[0][0]
    one_unit = []
    for raw in raws:
        if raw.unit != usual:
            found.append(Finding("unit-mixed", f"row {raw.row}: in {raw.unit} where the meter's rows are in {usual}: not used"))
        elif most_mw is not None and abs(raw.mwh) / _hours(raw) > Decimal(repr(1.25 * most_mw)):
            mw = abs(raw.mwh) / _hours(raw)
            found.append(Finding("implausible", f"row {raw.row}: {mw:.3f} MW at a line of {most_mw:g} MW, another unit? not used"))
        else:
            one_unit.append(raw)
    return _like_neighbours(_apart(sorted(one_unit, key=lambda r: (r.over.start, r.over.end)), found), found)


def _hours(raw: RawReading) -> Decimal:
    return Decimal(int((raw.over.end - raw.over.start).total_seconds())) / 3600


def _apart(raws: list[RawReading], found: list[Finding]) -> list[RawReading]:
    """Rows by time: of the same interval twice one is used where both say the same; of overlapping ones none."""
    once: list[RawReading] = []
    bad: set[int] = set()
    for raw in raws:
        if once and once[-1].over == raw.over:
            same = once[-1].mwh == raw.mwh
            how = "the same again, used once" if same else f"{raw.value} against {once[-1].value}: neither is used"
            found.append(Finding("duplicate", f"row {raw.row}: {_span(raw.over)} is in row {once[-1].row} already: {how}"))
            if not same:
                bad.add(len(once) - 1)
            continue
        once.append(raw)
    last = 0  # the one that reaches furthest so far
    for n in range(1, len(once)):
        if once[n].over.start < once[last].over.end:
            text = f"row {once[n].row}: {_span(once[n].over)} overlaps {_span(once[last].over)} of row {once[last].row}: neither is used"
            found.append(Finding("overlap", text))
            bad |= {n, last}
        if once[n].over.end > once[last].over.end:
            last = n
    return [raw for n, raw in enumerate(once) if n not in bad]


def _like_neighbours(raws: list[RawReading], found: list[Finding]) -> list[RawReading]:
    """With rows that are a thousand times, or a thousandth of, those beside them marked as doubtful."""
    out = []
    power = [abs(raw.mwh) / _hours(raw) for raw in raws]
    low, high = THOUSAND
    for n, raw in enumerate(raws):
        beside = [p for p in (*power[max(0, n - NEIGHBOURS) : n], *power[n + 1 : n + 1 + NEIGHBOURS]) if p]
        middle = median(beside) if len(beside) >= NEIGHBOURS else Decimal(0)
        quality = raw.quality
        if middle and power[n] and low <= power[n] / middle <= high:
            quality = DOUBTFUL_HIGH
        elif middle and power[n] and low <= middle / power[n] <= high:
            quality = DOUBTFUL_LOW
        if quality != raw.quality:
            what = f"row {raw.row}: {raw.value} {raw.unit} beside readings of about a thousand times more or less"
            found.append(Finding("unit-mixed", f"{what}, another unit or a trip? used only where telemetry agrees"))
        out.append(replace(raw, quality=quality))
    return out


def _net(delivered: list[RawReading], returned: list[RawReading], found: list[Finding]) -> list[MeterReading]:
    """Delivered less returned; an interval with only one of them is not known."""
    back = {raw.over: raw for raw in returned}
    out = []
    for raw in delivered:
        other = back.pop(raw.over, None)
        if other is None:
            found.append(Finding("missing", f"row {raw.row}: {_span(raw.over)} has no row of what flowed out: not used"))
            continue
        quality = next((q for q in (DOUBTFUL_HIGH, DOUBTFUL_LOW, ESTIMATED) if q in (raw.quality, other.quality)), ACTUAL)
        out.append(replace(_reading(raw), mwh=raw.mwh - other.mwh, quality=quality))
    for raw in back.values():
        found.append(Finding("missing", f"row {raw.row}: {_span(raw.over)} has no row of what was drawn: not used"))
    return out


def _reading(raw: RawReading) -> MeterReading:
    return MeterReading(raw.meter, raw.over, raw.mwh if raw.flow == DELIVERED else -raw.mwh, raw.quality, raw.row)


def _missing(meter: str, readings: Sequence[MeterReading]) -> list[Finding]:
    gaps = [
        Interval(before.over.end, after.over.start)
        for before, after in zip(readings, readings[1:], strict=False)
        if before.over.end < after.over.start
    ]
    named = [Finding("missing", f"meter {meter}: nothing for {_span(gap)}") for gap in gaps[:NAMED]]
    if len(gaps) > NAMED:
        hours = sum((gap.end - gap.start for gap in gaps[NAMED:]), timedelta()) / timedelta(hours=1)
        named.append(Finding("missing", f"meter {meter}: {len(gaps) - NAMED} more gaps, {hours:g} hours"))
    return named


def _span(over: Interval) -> str:
    return f"{over.start:%Y-%m-%dT%H:%M}Z to {over.end:%Y-%m-%dT%H:%M}Z"
