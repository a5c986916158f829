"""Groups that no contract tells apart are billed as one, and the bill is the same; what was never written is a gap."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

from dispatch.settlement.rollups import load_by_cohort
from dispatch.store.rollups import Rollup, write_rollups
from dispatch.store.tables import open_ledger
from markets.grid import Grid
from optimizer.domain.actuals import Actuals
from optimizer.domain.site import Scope
from optimizer.obligations.block import Block
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.hosting import Hosting
from optimizer.obligations.power import Power
from optimizer.settlement.settle import settle
from tests.optimizer.fixtures import POINT, group, site

START = datetime(2026, 7, 1, 5, tzinfo=UTC)
GRID = Grid.regular(START, START + timedelta(hours=30), 15)
BOOK = (
    Hashing(pool_fee=0.01),
    Power(adders_usd_per_mwh=6.15),
    Block(mw=4.0, usd_per_mwh=32.5),
    Hosting(scope=Scope(groups=("g1", "g2")), usd_per_mwh=70.0),
)


def test_groups_merged_into_cohorts_earn_exactly_the_same(tmp_path: Path) -> None:
    rng, where = np.random.default_rng(2), site(*(group(f"g{k}", "s21" if k < 4 else "s19xp") for k in range(6)))
    engine = open_ledger(tmp_path)
    rows = [
        Rollup(g.name, over, Decimal(int(rng.integers(0, 10**12))).scaleb(-12), Decimal(int(rng.integers(0, 10**11))).scaleb(-12), 3, 0.0)
        for g in where.groups
        for over in GRID.intervals[4:]
    ]
    write_rollups(engine, rows)
    celsius = list(20.0 + 15.0 * rng.random(len(GRID)))
    price = [Decimal(str(round(float(usd), 2))) for usd in rng.normal(40, 60, len(GRID))]
    bills = []
    for book in (None, BOOK):
        seen, energy, hashed = load_by_cohort(engine, where, book, GRID, celsius)
        assert all(mwh.is_nan() for values in energy.values() for mwh in values[:4]), "never written: a gap, not zero"
        assert not any(mwh.is_nan() for values in energy.values() for mwh in values[4:])
        known = Actuals(
            site=seen, grid=GRID, energy_mwh={}, hash_ph_days={}, energy_price={POINT: price}, hashprice=[Decimal(45)] * len(GRID)
        )
        bills.append((len(seen.groups), settle(BOOK, replace(known, energy_mwh=energy, hash_ph_days=hashed))))
    (apart, one), (merged, other) = bills
    assert (apart, merged) == (6, 3), "two hosted, two of the same model beside them, two of another"
    assert one.net_exact_usd == other.net_exact_usd and one.totals == other.totals and len(one.totals) >= 5
    engine.dispose()
