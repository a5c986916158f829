"""A fresh ledger in a temporary folder, and a leader's journal on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_ledger(tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def journal(engine: Engine) -> SqlJournal:
    return SqlJournal(engine, lease.take(engine, "test", 600))
