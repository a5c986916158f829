"""How long a month's bill takes: 200 groups at 15 minutes, every contract an ERCOT site can have, from a ledger's roll-ups and prices on
SQLite; and the PDF of that month. `--json` prints one object last.

The clock runs from the opened ledger to the totals: roll-ups read, groups that nothing tells apart added up as whole numbers, prices read,
every line made in Decimal. What comes out is checked against the same month billed day by day with every group by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from bench.plan import BOOK, POINT, a_site, peak_mib
from dispatch.entries import Seen
from dispatch.reports.write import month_as_pdf
from dispatch.settlement.month import add_up
from dispatch.settlement.rollups import load_by_cohort
from dispatch.store import lease
from dispatch.store.journal import SqlJournal
from dispatch.store.prices import price_vintages
from dispatch.store.rollups import Rollup, write_rollups
from dispatch.store.tables import open_ledger
from markets.facts import Award, Price, PriceMarket
from markets.grid import Grid, Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.money import Statement, decimal
from optimizer.domain.site import Scope, Site
from optimizer.obligations.forward import Forward
from optimizer.obligations.hosting import Hosting
from optimizer.settlement.settle import settle

START = datetime(2026, 7, 1, 5, tzinfo=UTC)
DAYS = 31
GROUPS = 200
TENANT = tuple(f"g{k}" for k in range(0, GROUPS, 10))
CONTRACTS = (
    *BOOK,
    Forward(ph=500.0, usd_per_ph_day=46.0),
    Hosting(scope=Scope(groups=TENANT), usd_per_mwh=70.0, uptime=0.95, credit_usd_per_mwh=20.0),
)


def fill(folder: Path) -> Engine:
    """A ledger with a month of roll-ups and prices."""
    engine, rng = open_ledger(folder), np.random.default_rng(5)
    token = lease.take(engine, "bench", 3600.0)
    assert token is not None
    journal, site = SqlJournal(engine, token), a_site(groups=GROUPS)
    for day in range(DAYS):
        spans = Grid.regular(START + timedelta(days=day), START + timedelta(days=day + 1), 15).intervals
        facts = tuple(_price(over, round(float(rng.normal(45, 30)), 2)) for over in spans)
        journal.append(Seen(at=spans[-1].end + timedelta(minutes=3), facts=facts))
        rows = [
            Rollup(g.name, over, decimal(round(float(mwh), 9)), decimal(round(float(mwh) / 2, 9)), 15, 0.0)
            for g in site.groups
            for over, mwh in zip(spans, rng.uniform(0, g.rigs * 3e-3 / 4, len(spans)), strict=True)
        ]
        write_rollups(engine, rows)
    return engine


def _price(over: Interval, usd: float) -> Price:
    known_at = over.end + timedelta(minutes=2)
    return Price(source="bench", known_at=known_at, point=POINT, market=PriceMarket.REAL_TIME_15_MIN, over=over, usd_per_mwh=usd)


def _award(product: str, over: Interval) -> Award:
    told = {"source": "bench", "known_at": over.start, "obligation": "ancillary", "market": "DAM"}
    return Award(**told, product=product, over=over, mw=8.0, mcpc_usd_per_mw_h=7.25)


def bill(engine: Engine, site: Site, grid: Grid, merge: bool = True) -> Statement:
    """The bill over a grid, from the ledger."""
    small, energy, hashed = load_by_cohort(engine, site, CONTRACTS if merge else None, grid, [30.0] * len(grid))
    prices = [decimal(p.usd_per_mwh) for p in price_vintages(engine, POINT, PriceMarket.REAL_TIME_15_MIN, grid.over)]
    actuals = Actuals(
        site=small,
        grid=grid,
        energy_mwh=energy,
        hash_ph_days=hashed,
        energy_price={POINT: prices},
        hashprice=[Decimal(45)] * len(grid),
        awards=tuple(_award(product, over) for over in Grid.regular(grid.start, grid.end, 60).intervals for product in ("ECRS", "NSPIN")),
        peak_share={15: [Decimal(int(n % 2976 == 1500)) for n in range(len(grid))]},
    )
    return settle(CONTRACTS, actuals)


def a_day(n: int) -> dict[str, Any]:
    """A day's statement as small as `add_up` takes it, of the size of a real one."""
    totals = {f"contract{k}/charge_{k}": f"{100 * k + n}.25" for k in range(25)}
    figures = {"net_usd": "7506.25", "net_exact_usd": "7506.25", "energy_mwh": "2160", "hash_ph_days": "90"}
    day = {"date": date.fromordinal(date(2026, 7, 1).toordinal() + n).isoformat(), "market": "ercot", "site": "bench", "version": 1}
    narrative = {"earned": [], "why": [], "issues": [], "actions": []}
    empty: dict[str, Any] = {"counterfactuals": {}, "foresight_gap": [], "promises": [], "lines": [], "contract_progress": []}
    return {**day, **figures, **empty, "totals": totals, "synthetic": True, "worlds": ["live"], "partial": False, "narrative": narrative,
            "journal_head": f"{n}:{'0' * 64}"}  # fmt: skip


def measured(rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        filled = subprocess.run([sys.executable, "-m", "bench.settle", "--fill", folder], check=True)
        assert filled.returncode == 0
        engine, site = open_ledger(Path(folder)), a_site(groups=GROUPS)
        month = Grid.regular(START, START + timedelta(days=DAYS), 15)
        took = []
        for _ in range(rounds):
            began = time.process_time()
            whole = bill(engine, site, month)
            totals = whole.totals
            took.append(time.process_time() - began)
        rss_mb = peak_mib()
        assert len(totals) >= 9 and whole.net_usd
        papers = []
        for _ in range(rounds):
            began = time.process_time()
            month_as_pdf(add_up([a_day(n) for n in range(DAYS)], date(2026, 7, 1), date(2026, 7, 31)))
            papers.append(time.process_time() - began)
        apart = bill(engine, site, month, merge=False)
        assert apart.totals == totals and abs(apart.net_exact_usd - whole.net_exact_usd) < Decimal("1e-6"), (
            "added up first, they earn the same"
        )
        engine.dispose()
    return {"month_s": statistics.median(took), "rss_mb": rss_mb, "pdf_s": statistics.median(papers), "lines": float(len(whole.lines))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fill", type=Path, help="make the ledger there and stop: its memory is not the bill's")
    told = parser.parse_args()
    if told.fill:
        fill(told.fill).dispose()
        return
    found = measured(told.rounds)
    for key, value in found.items():
        print(f"{key:12} {value:10.3f}")
    if told.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
