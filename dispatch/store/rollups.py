"""Roll-ups: what settles. The exact energy and hashing of a group over an interval, from its rigs' telemetry rows.

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
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Engine, bindparam, delete, insert, select

from dispatch.store.tables import reading, rollups, writing
from markets.grid import Interval

HOLD_S = 86400.0
STALE_S = 7500.0

MW_MS_PER_MWH = 3_600_000_000_000_000  # milliwatts x milliseconds
GH_PER_PH_DAY = 86_400_000_000_000  # (gigahashes a second) x milliseconds
EXACT = Decimal("1e-12")
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


def write_rollups(engine: Engine, rows: Iterable[Rollup]) -> int:
    """Keep roll-ups; those that say something new replace what stood there. Returns how many changed. Raises LedgerUnavailable."""
    new = {(r.group, r.over.start, r.over.end): _values(r) for r in rows}
    if not new:
        return 0
    span = Interval(min(k[1] for k in new), max(k[2] for k in new))
    with writing(engine) as connection:
        stand = connection.execute(select(rollups).where(rollups.c.start >= span.start, rollups.c.end <= span.end)).mappings()
        old = {(r["group"], r["start"], r["end"]): dict(r) for r in stand}
        changed = [row for key, row in new.items() if old.get(key) != row]
        replaced = [{"g": k[0], "s": k[1], "e": k[2]} for k, row in new.items() if k in old and old[k] != row]
        if replaced:
            c = rollups.c
            connection.execute(
                delete(rollups).where(c.group == bindparam("g"), c.start == bindparam("s"), c.end == bindparam("e")), replaced
            )
        if changed:
            connection.execute(insert(rollups), changed)
    return len(changed)


def _values(row: Rollup) -> dict[str, Any]:
    return {
        "group": row.group,
        "start": row.over.start,
        "end": row.over.end,
        "energy_mwh": f"{row.energy_mwh:f}",
        "hash_ph_days": f"{row.hash_ph_days:f}",
        "samples": row.samples,
        "estimated": row.estimated,
    }


def read_rollups(engine: Engine, over: Interval, step_min: int, groups: Sequence[str] | None = None) -> list[Rollup]:
    """The kept roll-ups of `step_min` minutes inside `over`, by group and start. Raises LedgerUnavailable."""
    wanted = select(rollups).where(rollups.c.start >= over.start, rollups.c.end <= over.end)
    if groups is not None:
        wanted = wanted.where(rollups.c.group.in_(groups))
    with reading(engine) as connection:
        rows = connection.execute(wanted.order_by(rollups.c.group, rollups.c.start)).all()
    return [
        Rollup(r.group, Interval(r.start, r.end), Decimal(r.energy_mwh), Decimal(r.hash_ph_days), r.samples, r.estimated)
        for r in rows
        if (r.end - r.start).total_seconds() == step_min * 60
    ]
