"""Roll-ups: the exact energy and hashing of a group over an interval, from its rigs' telemetry rows. Settlement uses them.

A row is good when both its figures are numbers. At an instant t a rig draws what its last good row with at <= t says, for at most 24 h
from that row (HOLD_S); before its first row, and 24 h after its last good one, it draws nothing. So a rig that falls silent is taken to
go on as it was last read. Then, over [a, b):

    energy_mwh   = sum over rigs of integral of watts dt / 3.6e9            (dt in seconds)
    hash_ph_days = sum over rigs of integral of ths   dt / 1000 / 86400
    estimated    = the share of rigs x (b - a) in which a rig's last row is not good, is older than 2 h 5 min (STALE_S), or is none

each figure quantised once, half to even, to 1e-12. Rows are in whole milliseconds, milliwatts and gigahashes a second, so the integrals
are whole numbers and nothing else is rounded. Energy is the rigs' at the wall: facility overhead and meter losses come later, in
settlement. Of two rows of a rig with one `at`, the one in the later part, and there in the later line, counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Engine, delete, insert, select, update

from dispatch.store.record_log import record_row
from dispatch.store.tables import reading, rollup_days, settled_memories, writing
from markets.grid import Interval

HOLD_S = 86400.0
STALE_S = 7500.0

MW_MS_PER_MWH = 3_600_000_000_000_000  # milliwatts x milliseconds
GH_PER_PH_DAY = 86_400_000_000_000  # (gigahashes a second) x milliseconds
EXACT = Decimal("1e-12")
DAY_S = 86400
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rollup:
    """A group over an interval: `energy_mwh` at the wall, `samples` rows in it, `estimated` share of rig-time that was not read, 0..1."""

    group: str
    over: Interval
    energy_mwh: Decimal
    hash_ph_days: Decimal
    samples: int
    estimated: float


def roll_up(group: str, rigs: int, rows: pl.DataFrame, edges_s: NDArray[np.int64]) -> list[Rollup]:
    """The roll-ups of one group between consecutive `edges_s` (epoch seconds) from its rows, in the order they were written."""
    edges = edges_s.astype(np.int64) * 1000
    at = np.rint(rows["at"].to_numpy() * 1000).astype(np.int64)
    rig, watts, ths = rows["rig"].to_numpy(), rows["watts"].to_numpy(), rows["ths"].to_numpy()
    order = np.lexsort((at, rig))  # stable: of one instant, the last written comes last
    at, rig, watts, ths = at[order], rig[order], watts[order], ths[order]
    good = ~(np.isnan(watts) | np.isnan(ths))
    known = np.where(good, 1, 0).astype(np.int64)
    known_ms = _integrals(*_steps(at, _next(at, rig, STALE_S), known), edges)
    at_good, until = at[good], _next(at[good], rig[good], HOLD_S)
    energy = _integrals(*_steps(at_good, until, np.rint(watts[good] * 1000).astype(np.int64)), edges)
    hashed = _integrals(*_steps(at_good, until, np.rint(ths[good] * 1000).astype(np.int64)), edges)
    samples = np.diff(np.searchsorted(np.sort(at), edges))
    return [
        Rollup(
            group,
            Interval(datetime.fromtimestamp(int(a) / 1000, UTC), datetime.fromtimestamp(int(b) / 1000, UTC)),
            _exact(int(energy[i]), MW_MS_PER_MWH),
            _exact(int(hashed[i]), GH_PER_PH_DAY),
            int(samples[i]),
            1.0 - int(known_ms[i]) / (rigs * int(b - a)),
        )
        for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False))
    ]


def _next(at: Whole, rig: NDArray[np.int32], hold_s: float) -> Whole:
    """Until when each row holds: its rig's next row, or `hold_s`."""
    until: Whole = at + int(hold_s * 1000)
    follows = rig[1:] == rig[:-1]
    until[:-1][follows] = np.minimum(until[:-1], at[1:])[follows]
    return until


def _steps(since: Whole, until: Whole, value: Whole) -> tuple[Whole, Whole]:
    """The changes of the sum of values that hold over [since, until): instants and differences."""
    return np.concatenate((since, until)), np.concatenate((value, -value))


def _integrals(at: Whole, change: Whole, edges: Whole) -> Whole:
    """The integral, between consecutive edges, of the step function that changes by `change` at `at`.

    Sums may pass 2^63 on the way: 64-bit arithmetic is exact modulo 2^64, and each result is under 2^63 (2.5 GW for an hour in mW ms).
    """
    order = np.argsort(at, kind="stable")
    at, change = at[order] - edges[0], change[order]
    level = np.concatenate((np.zeros(1, np.int64), np.cumsum(change)))
    moment = np.concatenate((np.zeros(1, np.int64), np.cumsum(change * at)))
    upto = np.searchsorted(at, edges - edges[0], side="right")
    integrals: Whole = np.diff((edges - edges[0]) * level[upto] - moment[upto])
    return integrals


def _exact(whole: int, unit: int) -> Decimal:
    return _CONTEXT.quantize(_CONTEXT.divide(Decimal(whole), Decimal(unit)), EXACT)


# --- in the ledger: a row a group and UTC day, its steps packed as whole numbers ---------------------------------------------------------

UNKNOWN = -1  # in place of samples: nothing was ever written for this step
_KINDS: dict[str, np.dtype[Any]] = {
    "energy": np.dtype("<i8"),
    "hash": np.dtype("<i8"),
    "samples": np.dtype("<i4"),
    "estimated": np.dtype("<f8"),
}


@dataclass(frozen=True, slots=True, eq=False)
class RollupMatrix:
    """Roll-ups of a span as whole numbers, arrays of shape (groups, steps): `energy` in 1e-12 MWh, `hash` in 1e-12 PH/s-days, `samples`
    (UNKNOWN where nothing was written) and `estimated`."""

    groups: tuple[str, ...]
    energy: Whole
    hash: Whole
    samples: NDArray[np.int32]
    estimated: NDArray[np.float64]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whether a roll-up was written."""
        kept: NDArray[np.bool_] = self.samples != UNKNOWN
        return kept

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether anything was ever read of the group: a roll-up of no reading at all says nothing."""
        known: NDArray[np.bool_] = self.kept & ~((self.samples == 0) & (self.energy == 0) & (self.estimated >= 1.0))
        return known


@dataclass(slots=True, eq=False)
class _Day:
    """One row of the ledger, unpacked."""

    values: dict[str, NDArray[Any]]

    @classmethod
    def empty(cls, steps: int) -> _Day:
        values: dict[str, NDArray[Any]] = {name: np.zeros(steps, kind) for name, kind in _KINDS.items()}
        values["samples"][:] = UNKNOWN
        return cls(values)

    @classmethod
    def of(cls, row: Any) -> _Day:
        return cls({name: np.frombuffer(getattr(row, name), kind).copy() for name, kind in _KINDS.items()})

    def packed(self) -> dict[str, bytes]:
        return {name: values.tobytes() for name, values in self.values.items()}

    def put(self, step: int, row: Rollup) -> bool:
        """Put a roll-up into the day; whether it changes anything."""
        new = (_whole(row.energy_mwh), _whole(row.hash_ph_days), row.samples, row.estimated)
        if tuple(values[step] for values in self.values.values()) == new:
            return False
        for values, value in zip(self.values.values(), new, strict=True):
            values[step] = value
        return True


def write_rollups(engine: Engine, rows: Iterable[Rollup]) -> int:
    """Keep roll-ups; those that differ replace the kept ones, and what contracts remember of the time since is made again. Returns how many
    changed. A step divides the day and lies on a multiple of itself (UTC), else ValueError. Raises LedgerUnavailable."""
    by_day: dict[tuple[str, datetime, int], list[tuple[int, Rollup]]] = {}
    for row in rows:
        day, step_s, step = _place(row.over)
        by_day.setdefault((row.group, day, step_s), []).append((step, row))
    changed: list[Rollup] = []
    with writing(engine) as connection:
        for (group, day, step_s), placed in by_day.items():
            here = (rollup_days.c.group == group, rollup_days.c.day == day, rollup_days.c.step_s == step_s)
            stood = connection.execute(select(rollup_days).where(*here)).one_or_none()
            kept = _Day.empty(DAY_S // step_s) if stood is None else _Day.of(stood)
            new = [row for step, row in placed if kept.put(step, row)]
            changed += new
            if stood is None and new:
                connection.execute(insert(rollup_days), {"group": group, "day": day, "step_s": step_s, **kept.packed()})
            elif new:
                connection.execute(update(rollup_days).where(*here), kept.packed())
            if new:
                record_row(connection, rollup_days, group, day, step_s)
        if changed:
            since = min(row.over.start for row in changed)
            connection.execute(delete(settled_memories).where(settled_memories.c.until > since))
    return len(changed)


def read_rollup_matrix(engine: Engine, over: Interval, step_min: int, groups: Sequence[str]) -> RollupMatrix:
    """The kept roll-ups of `step_min` minutes over a span that begins and ends on a step. Raises LedgerUnavailable."""
    step_s, first_s = step_min * 60, int(over.start.timestamp())
    steps = int(over.end.timestamp() - first_s) // step_s
    place = {name: k for k, name in enumerate(groups)}
    whole = {name: np.zeros((len(groups), steps), kind) for name, kind in _KINDS.items()}
    whole["samples"][:] = UNKNOWN
    for row in _days_kept(engine, over, step_s, groups):
        at = (int(row.day.timestamp()) - first_s) // step_s
        since, until = max(0, at), min(steps, at + DAY_S // step_s)
        for name, kind in _KINDS.items():
            whole[name][place[row.group], since:until] = np.frombuffer(getattr(row, name), kind)[since - at : until - at]
    return RollupMatrix(tuple(groups), whole["energy"], whole["hash"], whole["samples"], whole["estimated"])


def read_rollups(engine: Engine, over: Interval, step_min: int, groups: Sequence[str] | None = None) -> list[Rollup]:
    """The kept roll-ups of `step_min` minutes inside `over`, by group and start. Raises LedgerUnavailable."""
    step_s, out = step_min * 60, []
    for row in sorted(_days_kept(engine, over, step_s, groups), key=lambda r: (r.group, r.day)):
        values = _Day.of(row).values
        for step in np.flatnonzero(values["samples"] != UNKNOWN).tolist():
            start = row.day + timedelta(seconds=step * step_s)
            inside = Interval(start, start + timedelta(seconds=step_s))
            if inside.start >= over.start and inside.end <= over.end:
                energy, hashed = (Decimal(int(values[name][step])).scaleb(-12) for name in ("energy", "hash"))
                out.append(Rollup(row.group, inside, energy, hashed, int(values["samples"][step]), float(values["estimated"][step])))
    return out


def _days_kept(engine: Engine, over: Interval, step_s: int, groups: Sequence[str] | None) -> Sequence[Any]:
    first = _midnight(over.start)
    wanted = select(rollup_days).where(rollup_days.c.step_s == step_s, rollup_days.c.day >= first, rollup_days.c.day < over.end)
    if groups is not None:
        wanted = wanted.where(rollup_days.c.group.in_(groups))
    with reading(engine) as connection:
        return connection.execute(wanted).all()


def _place(over: Interval) -> tuple[datetime, int, int]:
    """UTC day, seconds of a step, and which step of the day."""
    day, step_s = _midnight(over.start), int((over.end - over.start).total_seconds())
    since_s = int((over.start - day).total_seconds())
    if step_s <= 0 or DAY_S % step_s or since_s % step_s:
        raise ValueError(
            f"a roll-up's step divides the day and lies on a multiple of itself: {over.start.isoformat()} for {step_s} s does not"
        )
    return day, step_s, since_s // step_s


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _whole(value: Decimal) -> int:
    return int(value.quantize(EXACT, ROUND_HALF_EVEN).scaleb(12))
