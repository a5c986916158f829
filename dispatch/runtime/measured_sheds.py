"""How quickly rigs shed their load, from the newest orders to sleep in a ledger that were judged before an instant."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from dispatch.entries import Commanded, Done, unpack
from dispatch.rigs.shed_curve import ShedCurve
from dispatch.store.tables import journal, open_ledger, reading
from optimizer.domain.site import SLEEP

ROWS_READ = 20_000  # of orders and their results: a curve keeps the newest few hundred orders of each group


def measured_sheds(data: Path, until: datetime) -> Mapping[str, ShedCurve]:
    """The curve of each group that was measured before an instant. Raises LedgerUnavailable."""
    kinds = (Commanded.__name__, Done.__name__)
    newest = select(journal.c.kind, journal.c.document).where(journal.c.kind.in_(kinds), journal.c.at <= until)
    with reading(open_ledger(data, create=False)) as connection:
        rows = connection.execute(newest.order_by(journal.c.seq.desc()).limit(ROWS_READ)).all()
    curves: dict[str, ShedCurve] = defaultdict(ShedCurve)
    slept: dict[str, tuple[str, int]] = {}
    for kind, text in reversed(rows):
        document = json.loads(text)
        if kind == Commanded.__name__:
            slept |= {o["id"]: (o["group"], len(unpack(o["rigs"]))) for o in document["orders"] if o["mode"] == SLEEP}
            continue
        for result in document["results"]:
            if result["order"] in slept and result["shed_within_s"]:
                group, commanded = slept[result["order"]]
                curves[group] = curves[group].after(result["shed_within_s"], commanded)
    return curves
