"""Hours of telemetry: merged into one file, named when they are missing or changed, and dropped when they are old."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from dispatch.store.telemetry import Telemetry
from dispatch.store.telemetry_hours import close_hours, drop_hours, hour_faults, parts_of
from dispatch.store.verify import verify
from markets.grid import Interval
from tests.fakes import NOON
from tests.sites import small

HOUR = timedelta(hours=1)
DAY = Interval(NOON, NOON + 4 * HOUR)


def read_each_minute(telemetry: Telemetry, start: datetime, minutes: int) -> None:
    group = small().site.groups[0]
    for n in range(minutes):
        at = (start + timedelta(minutes=n)).timestamp()
        rigs = np.arange(group.rigs)
        telemetry.record(at, group.name, rigs, np.full(group.rigs, 3000.0 + 50 * (n % 2)), np.full(group.rigs, 100.0), "poll")
        telemetry.flush()


@pytest.fixture
def telemetry(tmp_path: Path, engine: Engine) -> Telemetry:
    kept = Telemetry(tmp_path / "telemetry", small().site)
    read_each_minute(kept, NOON, 150)
    return kept


def test_the_parts_of_an_hour_become_one_file_with_the_same_rows(engine: Engine, telemetry: Telemetry) -> None:
    before, rolled = telemetry.readings(DAY), telemetry.rollup(DAY, 15)
    assert close_hours(engine, telemetry.folder, NOON + 2.1 * HOUR) == 1  # the second hour is over ten minutes after its end
    assert close_hours(engine, telemetry.folder, NOON + 2.2 * HOUR) == 1
    assert close_hours(engine, telemetry.folder, NOON + 2.3 * HOUR) == 0
    hours = sorted(telemetry.folder.iterdir())
    assert [len(list(hour.glob("*.parquet"))) for hour in hours] == [1, 1, 30]
    assert telemetry.readings(DAY).equals(before) and telemetry.rollup(DAY, 15) == rolled
    assert verify(engine).findings == () and hour_faults(engine, telemetry.folder, DAY) == {}


def test_readings_that_come_after_the_merge_are_merged_too(engine: Engine, telemetry: Telemetry) -> None:
    close_hours(engine, telemetry.folder, NOON + 3 * HOUR)
    late = Telemetry(telemetry.folder, small().site)
    read_each_minute(late, NOON + timedelta(minutes=59, seconds=30), 1)
    rows = late.readings(DAY)
    assert len(rows) == len(telemetry.readings(DAY)) and verify(engine).findings == ()
    assert close_hours(engine, telemetry.folder, NOON + 3 * HOUR) == 1
    assert len(parts_of(sorted(telemetry.folder.iterdir())[0])) == 1 and late.readings(DAY).equals(rows)
    assert verify(engine).findings == ()


@pytest.mark.parametrize("damage", ["flip", "cut", "delete", "hour"])
def test_an_hour_that_is_missing_or_changed_is_named_and_never_ends_in_a_traceback(
    engine: Engine, telemetry: Telemetry, damage: str
) -> None:
    close_hours(engine, telemetry.folder, NOON + 3 * HOUR)
    hour = sorted(telemetry.folder.iterdir())[1]
    (file,) = parts_of(hour)
    if damage == "flip":
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 3] ^= 4
        file.write_bytes(raw)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:100])
    elif damage == "delete":
        file.unlink()
    else:
        shutil.rmtree(hour)
    faults = hour_faults(engine, telemetry.folder, DAY)
    assert list(faults) == [hour.name] and hour.name in next(iter(faults.values()))
    assert [f.kind for f in verify(engine).findings] == ["telemetry"]
    assert Telemetry(telemetry.folder, small().site).rollup(DAY, 15)
    assert telemetry.without(faults).readings(Interval(NOON + HOUR, NOON + 2 * HOUR)).is_empty()


def test_old_hours_are_dropped_and_that_is_no_finding(engine: Engine, telemetry: Telemetry) -> None:
    close_hours(engine, telemetry.folder, NOON + 4 * HOUR)
    assert drop_hours(engine, telemetry.folder, NOON + 2 * HOUR) == 2
    assert len(list(telemetry.folder.iterdir())) == 1 and verify(engine).findings == ()
