"""A model trained on an archive and kept in a ledger as the next version of its point."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from dispatch.store.price_models import KeptPriceModel, keep_price_model, next_version
from dispatch.training.archive_history import archived_history
from dispatch.training.train import train
from markets.archive.archive import Archive
from markets.forecasting.price_model import PriceModel


def trained(archive: Path, point: str, seed: int, known_by: datetime | None = None) -> PriceModel:
    """A model of a point with its scores, trained on what was known by an instant where one is given. Raises LookupError when the archive
    has no price of it by then, TooLittleData."""
    history, market = archived_history(Archive(archive), point, known_by)
    return train(history, point, market, seed)


def keep(engine: Engine, model: PriceModel, at: datetime) -> PriceModel:
    """The model with its version, kept. Raises LedgerUnavailable."""
    version = next_version(engine, model.point)
    numbered = replace(model, about={**model.about, "version": version, "label": f"{model.point} version {version}"})
    kept = KeptPriceModel(model.point, version, at, numbered.to_json())
    keep_price_model(engine, kept, model.market.value, bool(model.about["accepted"]))
    return numbered
