"""Roll-ups by the day: a row a group and UTC day in place of a row an interval, its steps packed as whole numbers."""

from __future__ import annotations

from array import array
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from alembic import op
from sqlalchemy import Column, Float, Integer, LargeBinary, String, Text, text

revision = "0003"
down_revision = "0002"

AT = String(27)
DAY_S = 86400
PACKED = {"energy": "q", "hash": "q", "samples": "i", "estimated": "d"}


def upgrade() -> None:
    op.create_table(
        "rollup_days",
        Column("group", String(128), primary_key=True),
        Column("day", AT, primary_key=True),
        Column("step_s", Integer, primary_key=True, autoincrement=False),
        *(Column(name, LargeBinary, nullable=False) for name in PACKED),
    )
    op.create_index("rollup_days_by_day", "rollup_days", ["day"])
    bind = op.get_bind()
    days: dict[tuple[str, str, int], dict[str, array[Any]]] = {}
    for row in bind.execute(text('SELECT "group", start, "end", energy_mwh, hash_ph_days, samples, estimated FROM rollups')):
        start, end = datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2])
        step_s, since_s = int((end - start).total_seconds()), start.hour * 3600 + start.minute * 60 + start.second
        day = f"{start.date().isoformat()}T00:00:00.000000Z"
        packed = days.setdefault((row[0], day, step_s), _empty(DAY_S // step_s))
        values = (int(Decimal(row[3]).scaleb(12)), int(Decimal(row[4]).scaleb(12)), row[5], row[6])
        for name, value in zip(PACKED, values, strict=True):
            packed[name][since_s // step_s] = value
    insert = text(
        'INSERT INTO rollup_days ("group", day, step_s, energy, hash, samples, estimated) '
        "VALUES (:group, :day, :step_s, :energy, :hash, :samples, :estimated)"
    )
    for (group, day, step_s), packed in days.items():
        bind.execute(insert, {"group": group, "day": day, "step_s": step_s, **{k: v.tobytes() for k, v in packed.items()}})
    op.drop_table("rollups")


def _empty(steps: int) -> dict[str, array[Any]]:
    return {name: array(kind, [-1 if name == "samples" else 0]) * steps for name, kind in PACKED.items()}


def downgrade() -> None:
    bind = op.get_bind()
    op.create_table(
        "rollups",
        Column("group", String(128), primary_key=True),
        Column("start", AT, primary_key=True),
        Column("end", AT, primary_key=True),
        Column("energy_mwh", Text, nullable=False),
        Column("hash_ph_days", Text, nullable=False),
        Column("samples", Integer, nullable=False),
        Column("estimated", Float, nullable=False),
    )
    op.create_index("rollups_by_start", "rollups", ["start"])
    insert = text(
        'INSERT INTO rollups ("group", start, "end", energy_mwh, hash_ph_days, samples, estimated) '
        "VALUES (:group, :start, :end, :energy, :hash, :samples, :estimated)"
    )
    for group, day, step_s, *packed in bind.execute(text('SELECT "group", day, step_s, energy, hash, samples, estimated FROM rollup_days')):
        values = [array(kind, bytes(blob)) for kind, blob in zip(PACKED.values(), packed, strict=True)]
        for step, (energy, hashed, samples, estimated) in enumerate(zip(*values, strict=True)):
            if samples != -1:
                start = datetime.fromisoformat(day) + timedelta(seconds=step * step_s)
                told = {"start": _text(start), "end": _text(start + timedelta(seconds=step_s)), "samples": samples, "estimated": estimated}
                exact = {"energy": f"{Decimal(energy).scaleb(-12):f}", "hash": f"{Decimal(hashed).scaleb(-12):f}"}
                bind.execute(insert, {"group": group, **told, **exact})
    op.drop_table("rollup_days")


def _text(at: datetime) -> str:
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
