"""Trained price models by settlement point; each training is a new version."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Engine, delete, func, insert, select

from dispatch.store.price_model_table import price_models
from dispatch.store.record_log import is_recorded, record_removal, record_row
from dispatch.store.tables import reading, writing

KEPT = 30  # versions of a point


@dataclass(frozen=True, slots=True)
class KeptPriceModel:
    """A version of a point's model: its JSON text, which is empty when it is not as it was recorded."""

    point: str
    version: int
    trained_at: datetime
    text: str


def next_version(engine: Engine, point: str) -> int:
    """The number of the next model of a point, from 1 on. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        newest = connection.execute(select(func.max(price_models.c.version)).where(price_models.c.point == point)).scalar()
    return (newest or 0) + 1


def keep_price_model(engine: Engine, model: KeptPriceModel, market: str, accepted: bool) -> None:
    """Keep a version; `accepted` says whether the control loop may use it. The oldest ones go. Raises LedgerUnavailable."""
    text = model.text.encode()
    row = {"point": model.point, "version": model.version, "market": market, "accepted": accepted, "trained_at": model.trained_at}
    columns = price_models.c
    old = columns.point == model.point, columns.version <= model.version - KEPT
    with writing(engine) as connection:
        connection.execute(insert(price_models), {**row, "sha256": sha256(text).hexdigest(), "packed": zlib.compress(text, 6)})
        record_row(connection, price_models, model.point, model.version)
        for version in connection.execute(select(columns.version).where(*old)).scalars().all():
            record_removal(connection, price_models, model.point, version)
        connection.execute(delete(price_models).where(*old))


def newest_trained_at(engine: Engine, point: str) -> datetime | None:
    """When the newest model of a point was trained, accepted or not; None when there is none. Raises LedgerUnavailable."""
    columns = price_models.c
    with reading(engine) as connection:
        wanted = select(columns.trained_at).where(columns.point == point).order_by(columns.version.desc()).limit(1)
        return connection.execute(wanted).scalar()


def newest_accepted(engine: Engine, point: str, market: str) -> KeptPriceModel | None:
    """The newest accepted model of a point in a market; None when there is none. Raises LedgerUnavailable."""
    columns = price_models.c
    wanted = select(price_models).where(columns.point == point, columns.market == market, columns.accepted)
    with reading(engine) as connection:
        row = connection.execute(wanted.order_by(columns.version.desc()).limit(1)).one_or_none()
        if row is None:
            return None
        text = _text(row.packed, row.sha256) if is_recorded(connection, price_models, point, row.version) else ""
    return KeptPriceModel(point, row.version, row.trained_at, text)


def _text(packed: bytes, digest: str) -> str:
    try:
        text = zlib.decompress(packed)
    except (zlib.error, TypeError):
        return ""
    return text.decode() if sha256(text).hexdigest() == digest else ""
