"""Telemetry: rows that matter are kept, whole or not at all, and their roll-ups are exact."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from dispatch.store.rollups import HOLD_S, STALE_S, Rollup, read_rollups, write_rollups
from dispatch.store.telemetry import Telemetry
from markets.grid import Interval, Market
from optimizer.domain.site import Hall, Meter, Mode, RigGroup, Site

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
S = START.timestamp()
NAN = float("nan")
ROOT = Path(__file__).parents[3]


def site(**rigs: int) -> Site:
    modes = (Mode(name="sleep", watts=15, ths=0), Mode(name="normal", watts=3250, ths=104))
    return Site(
        name="test",
        market=Market.ERCOT,
        settlement_point="LZ_WEST",
        interconnect_mw=1000,
        meters=(Meter(id="main", settlement_point="LZ_WEST"),),
        halls=(Hall(name="a", meter="main", limit_mw=1000),),
        groups=tuple(RigGroup(name=name, hall="a", model="m", rigs=n, modes=modes) for name, n in rigs.items()),
    )


def span(minutes: float, after_min: float = 0.0) -> Interval:
    return Interval(START + timedelta(minutes=after_min), START + timedelta(minutes=after_min + minutes))


def independent(rows: pl.DataFrame, rigs: int, over: Interval) -> tuple[Decimal, Decimal, Decimal]:
    """The formulas of rollups.py, one rig and one row at a time, in Decimal; `rows` of one group in the order they were written."""
    a, b = Decimal(repr(over.start.timestamp())), Decimal(repr(over.end.timestamp()))
    energy = hashed = known = Decimal(0)
    for rig in range(rigs):
        mine = sorted(
            ((Decimal(repr(r["at"])), r["watts"], r["ths"]) for r in rows.filter(pl.col("rig") == rig).to_dicts()), key=lambda r: r[0]
        )
        good = [(at, Decimal(repr(w)), Decimal(repr(h))) for at, w, h in mine if w == w and h == h]
        for n, (at, w, h) in enumerate(good):
            until = min([at + Decimal(HOLD_S), *(r[0] for r in good[n + 1 : n + 2])])
            s = max(Decimal(0), min(until, b) - max(at, a))
            energy, hashed = energy + w * s, hashed + h * s
        for n, (at, w, h) in enumerate(mine):
            until = min([at + Decimal(STALE_S), *(r[0] for r in mine[n + 1 : n + 2])])
            known += max(Decimal(0), min(until, b) - max(at, a)) if w == w and h == h else 0
    with localcontext(prec=60, rounding=ROUND_HALF_EVEN):
        exact = Decimal("1e-12")
        mwh, ph_days = (energy / Decimal(3_600_000_000)).quantize(exact), (hashed / 1000 / 86400).quantize(exact)
    return mwh, ph_days, 1 - known / (rigs * (b - a))


def test_a_rig_that_runs_an_hour(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "telemetry", site(a=1))
    telemetry.record(S, "a", [0], [3250.0], [104.0], "poll")
    (row,) = telemetry.rollup(span(60), 60)
    assert row == Rollup("a", span(60), Decimal("0.003250000000"), Decimal("0.004333333333"), 1, 0.0)


def test_a_silent_rig_is_estimated_by_its_last_good_reading_and_one_never_read_counts_nothing(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "telemetry", site(a=4))
    telemetry.record(S, "a", [0, 1, 2], [3600.0, 3600.0, NAN], [100.0, 100.0, NAN], "poll")
    telemetry.record(S + 450, "a", [1], [NAN], [NAN], "poll")
    first, second = telemetry.rollup(span(30), 15)
    assert (first.energy_mwh, second.energy_mwh) == (Decimal("0.0018"), Decimal("0.0018"))
    assert (first.estimated, second.estimated) == (2.5 / 4, 3 / 4)
    assert (first.samples, second.samples) == (4, 0)


def test_a_reading_holds_for_a_day_and_is_known_for_two_hours(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "telemetry", site(a=1))
    telemetry.record(S, "a", [0], [3600.0], [100.0], "poll")
    rows = {r.over.start: r for r in telemetry.rollup(span(26 * 60), 60)}
    assert [rows[START + timedelta(hours=h)].estimated for h in (0, 1, 2, 3)] == [0.0, 0.0, 1 - 300 / 3600, 1.0]
    assert [rows[START + timedelta(hours=h)].energy_mwh for h in (23, 24)] == [Decimal("0.0036"), Decimal(0)]
    assert telemetry.rollup(Interval(START + timedelta(hours=23, minutes=30), START + timedelta(hours=24)), 30)[0].energy_mwh == Decimal(
        "0.0018"
    )


def test_changes_silence_and_an_hourly_row_are_written(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "telemetry", site(a=5))
    rigs = np.arange(5)
    assert telemetry.record(S, "a", rigs, np.full(5, 3000.0), np.full(5, 100.0), "poll") == 5
    watts, ths = np.array([3000.0, 3015.0, 3015.1, NAN, 3000.0]), np.array([100.0, 100.5, 100.0, NAN, 99.4])
    assert telemetry.record(S + 300, "a", rigs, watts, ths, "poll") == 3
    assert telemetry.record(S + 600, "a", rigs, watts, ths, "poll") == 0
    assert telemetry.record(S + 600, "a", [3], [3000.0], [100.0], "command") == 1
    assert telemetry.record(S + 500, "a", [3], [10.0], [0.0], "poll") == 0  # an older reading, late
    assert telemetry.record(S + 3600, "a", rigs, watts, ths, "poll") == 3  # two heartbeats, and rig 3 silent again
    assert telemetry.flush() == 12
    rows = telemetry.readings(span(180))
    assert rows["why"].to_list().count("command") == 1
    assert sorted(p.parent.name for p in (tmp_path / "telemetry").rglob("*.parquet")) == ["2026-03-01T12", "2026-03-01T13"]


readings = st.lists(
    st.tuples(
        st.integers(-26 * 3600_000, 3 * 3600_000),
        st.integers(0, 2),
        st.one_of(st.floats(0, 6000), st.just(NAN)),
        st.one_of(st.floats(0, 400), st.just(NAN)),
    ),
    max_size=40,
)


@settings(max_examples=120)
@given(readings=readings, step=st.sampled_from([1, 5, 15, 60]), start_ms=st.integers(0, 3600_000))
def test_an_independent_decimal_recomputation_meets_every_roll_up(
    tmp_path_factory: pytest.TempPathFactory, readings: list[tuple[int, int, float, float]], step: int, start_ms: int
) -> None:
    telemetry = Telemetry(tmp_path_factory.mktemp("t") / "telemetry", site(a=3, b=1))
    for ms, rig, watts, ths in sorted(readings, key=lambda r: r[0]):
        telemetry.record(S + ms / 1000, "a", [rig], [watts], [ths], "poll")
        if ms % 3 == 0:
            telemetry.flush()
    over = Interval(START + timedelta(seconds=start_ms // 60_000 * 60), START + timedelta(hours=2))
    got = telemetry.rollup(over, step)
    rows = telemetry.readings(Interval(START - timedelta(days=2), START + timedelta(days=1)), ["a"])
    for row in [r for r in got if r.group == "a"][:8]:
        mwh, ph_days, estimated = independent(rows, 3, row.over)
        assert (row.energy_mwh, row.hash_ph_days) == (mwh, ph_days)
        assert row.estimated == pytest.approx(float(estimated), abs=1e-12)
    assert all((r.energy_mwh, r.hash_ph_days, r.samples, r.estimated) == (0, 0, 0, 1.0) for r in got if r.group == "b")


def test_roll_ups_over_days_are_those_of_each_day(tmp_path: Path) -> None:
    telemetry = Telemetry(tmp_path / "telemetry", site(a=20))
    rng = np.random.default_rng(7)
    for tick in range(0, 60 * 3600, 1800):
        rigs = rng.choice(20, 15, replace=False)
        telemetry.record(S + tick + rng.random(15), "a", rigs, rng.choice([15.0, 3250.0, NAN], 15), rng.choice([0.0, 104.0], 15), "poll")
        telemetry.flush()
    whole = telemetry.rollup(span(60 * 60), 15)
    assert whole == [r for h in range(60) for r in telemetry.rollup(span(60, 60 * h), 15)]
    assert sum((r.energy_mwh for r in whole), Decimal(0)) > 1


def test_roll_ups_are_kept_once(tmp_path: Path, engine: Engine) -> None:
    telemetry = Telemetry(tmp_path / "telemetry", site(a=2, b=1))
    telemetry.record(S, "a", [0, 1], [3250.0, 15.0], [104.0, 0.0], "poll")
    rows = telemetry.rollup(span(60), 15)
    assert write_rollups(engine, rows) == 8
    assert write_rollups(engine, rows) == 0
    assert write_rollups(engine, telemetry.rollup(span(60), 1)) == 120
    assert read_rollups(engine, span(60), 15) == rows
    telemetry.record(S + 1800, "b", [0], [3250.0], [104.0], "poll")
    late = telemetry.rollup(span(60), 15)
    assert write_rollups(engine, late) == 2
    assert read_rollups(engine, span(60), 15, ["b"]) == [r for r in late if r.group == "b"]


WRITER = """
import sys
from pathlib import Path
from tests.dispatch.store.test_telemetry import S, Telemetry, site
telemetry = Telemetry(Path(sys.argv[1]), site(a=200))
for tick in range(100_000):
    telemetry.record(S + tick * 300, "a", range(200), [1000.0 + tick % 7 * 100] * 200, [float(tick)] * 200, "poll")
    telemetry.flush()
    print(tick, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_loses_no_flushed_row_and_leaves_no_half_part(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "telemetry"
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    last = -1
    for _ in range(10 + 17 * seed):
        last = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    last = max([last, *(int(line) for line in child.stdout.read().split())])
    child.wait()
    child.stdout.close()
    telemetry = Telemetry(folder, site(a=200))
    rows = telemetry.readings(Interval(START, START + timedelta(days=3)))
    assert set(rows["ths"].to_list()) >= set(map(float, range(last + 1)))
    assert len(rows) % 200 == 0
    telemetry.record(S + (last + 2) * 300, "a", range(200), [1.0] * 200, [0.0] * 200, "poll")
    assert telemetry.flush() == 200


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from tests.dispatch.store.test_telemetry import S, Telemetry, site, span
folder = Path(sys.argv[1])
telemetry = Telemetry(folder, site(a=2000))
rng = np.random.default_rng(1)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
telemetry.record(S, "a", range(2000), rng.random(2000) * 3000, rng.random(2000) * 100, "poll")
try:
    telemetry.flush()
except OSError:
    assert not [f for f in folder.rglob("*") if f.is_file()]
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    print(telemetry.flush(), len(telemetry.readings(span(1))))
"""


def test_rows_wait_while_the_disk_is_full(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / "t")], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.split() == ["2000", "2000"], done.stderr
