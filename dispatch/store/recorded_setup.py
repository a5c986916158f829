"""The site's setup as runs recorded it in the journal."""

from __future__ import annotations

import json
from datetime import datetime

from sqlalchemy import Engine, select

from dispatch.entries import RunStarted
from dispatch.site_file.load import setup_from_document
from dispatch.site_file.setup import Setup
from dispatch.store.tables import journal, reading


def recorded_setup(engine: Engine) -> Setup:
    """The setup of the newest run. Raises LookupError when nothing has run, LedgerUnavailable, ConfigError."""
    newest = select(journal.c.document).where(journal.c.kind == RunStarted.__name__).order_by(journal.c.seq.desc()).limit(1)
    with reading(engine) as connection:
        found = connection.execute(newest).scalar()
    if found is None:
        raise LookupError("nothing has run on this data folder yet")
    return setup_from_document(json.loads(found)["config"])


def setup_at(engine: Engine, at: datetime, known: Setup) -> Setup:
    """The setup of the run at an instant; `known` where that is the same, or where nothing ran by then. Raises LedgerUnavailable, and
    ConfigError where this version does not read the site file of then."""
    run = (journal.c.kind == RunStarted.__name__) & (journal.c.at <= at)
    with reading(engine) as connection:
        found = connection.execute(select(journal.c.document).where(run).order_by(journal.c.seq.desc()).limit(1)).scalar()
    started = json.loads(found) if found is not None else None
    return setup_from_document(started["config"]) if started and started["config_hash"] != known.hash_id else known
