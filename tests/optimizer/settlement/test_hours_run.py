"""Days cut by random hours that nobody ran, random cuts and random gaps add up to an independent bill over the hours that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from markets.grid import Grid
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import remember
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Scope
from optimizer.obligations.forward import Forward
from optimizer.obligations.hashing import Hashing
from optimizer.obligations.hosting import Hosting
from optimizer.obligations.power import Power
from optimizer.obligations.transmission import Transmission
from optimizer.settlement.settle import settle
from tests.independent_span_bill import BILLS, Hour, SiteFile
from tests.optimizer.fixtures import group, site

# Over the end of a month, of a UTC day and of daylight saving time.
START = datetime(2026, 10, 30, 5, tzinfo=UTC)
DAYS = 4
NAN = Decimal("NaN")
DOCUMENT = {
    "site": {"market": "ercot", "settlement_point": "LZ_WEST"},
    "meters": [{"id": "main"}],
    "halls": [{"name": "hall", "meter": "main"}],
    "groups": [
        {"name": "g", "hall": "hall", "tenant": "guest", "rigs": 1000, "modes": [{"name": "normal", "watts": 3500.0}]},
        {"name": "h", "hall": "hall", "rigs": 500, "modes": [{"name": "normal", "watts": 3500.0}]},
    ],
}
BOOK: tuple[Obligation, ...] = (
    Hashing(pool_fee=0.01),
    Power(adders_usd_per_mwh=6.15),
    Hosting(usd_per_mwh=70.0, uptime=0.6, credit_usd_per_mwh=20.0, strike_usd_per_mwh=60.0, scope=Scope(tenant="guest")),
    Transmission(method="ncp", usd_per_kw_year=120.0, contract_mw=2.0),
    Transmission(name="half hours", method="ncp", usd_per_kw_year=24.0, interval_min=30),
    Forward(ph=90, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0),
)


def forward(site_file: SiteFile, run: list[Hour], contract: Mapping[str, Any]) -> F:
    """The sold hashrate at its price less the index; what a UTC day lacks at damages and the gain of its last known quarter hour."""
    ph, price, damages = (F(repr(contract[k])) for k in ("ph", "usd_per_ph_day", "damages_usd_per_ph_day"))
    usd, delivered, sold = F(0), {}, {}
    for h in run:
        usd += ph * h.hours / 24 * (price - h.hashprice)
        on = h.start.date()
        delivered[on] = delivered.get(on, F(0)) + sum(h.ph_days.values())
        sold[on] = sold.get(on, F(0)) + ph * h.hours / 24
    gain = max(F(0), price - run[-1].hashprice) if run else F(0)
    return usd - sum((max(F(0), sold[on] - delivered[on]) for on in sold), F(0)) * (damages + gain)


def happened(rng: np.random.Generator) -> Actuals:
    """Four days at random loads and prices: some hours before the first run and between runs, and some gaps of prices and readings."""
    over = Grid.regular(START, START + timedelta(days=DAYS), 15)

    def drawn(most: float, gap: float = 0.02) -> list[Decimal]:
        values = [Decimal(int(n)) / 1000 for n in rng.integers(0, int(most * 1000), len(over))]
        return [NAN if rng.random() < gap else v for v in values]

    not_run = set(range(int(rng.integers(0, 60))))
    for first in rng.integers(0, len(over), 3).tolist():
        not_run |= set(range(first, min(len(over), first + int(rng.integers(1, 120)))))

    def run_only(values: list[Decimal]) -> list[Decimal]:
        return [NAN if n in not_run else v for n, v in enumerate(values)]

    where = site(group("g", rigs=1000, tenant="guest"), group("h", rigs=500))
    return Actuals(
        site=where, grid=over, energy_mwh={"g": run_only(drawn(0.9)), "h": run_only(drawn(0.5))},
        hash_ph_days={"g": run_only(drawn(2.2)), "h": run_only(drawn(1.1))},
        energy_price={"LZ_WEST": drawn(120)}, hashprice=[Decimal(45)] * len(over),
    )  # fmt: skip


def part(whole: Actuals, first: int, last: int) -> Actuals:
    def cut(by: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v[first:last] for k, v in by.items()}

    return replace(
        whole, grid=Grid(whole.grid.edges[first : last + 1]), hashprice=whole.hashprice[first:last], energy_mwh=cut(whole.energy_mwh),
        hash_ph_days=cut(whole.hash_ph_days), energy_price=cut(whole.energy_price),
    )  # fmt: skip


def known_hours(real: Actuals) -> list[Hour]:
    """The intervals of which everything is known."""
    rows = []
    for n, over in enumerate(real.grid.intervals):
        figures = [by[n] for name in ("energy_mwh", "hash_ph_days", "energy_price") for by in getattr(real, name).values()]
        if not any(v.is_nan() for v in figures):
            mwh, ph = ({g: F(v[n]) for g, v in by.items()} for by in (real.energy_mwh, real.hash_ph_days))
            rows.append(Hour(over.start, over.end, mwh, ph, {"LZ_WEST": F(real.energy_price["LZ_WEST"][n])}, F(real.hashprice[n])))
    return rows


def adds_up(seed: int) -> None:
    rng = np.random.default_rng([seed, 7])
    whole = happened(rng)
    cuts = [0, *sorted({2 * n for n in rng.integers(1, len(whole.grid) // 2, 3).tolist()}), len(whole.grid)]  # no half hour is cut
    memory: dict[str, Any] = {}
    billed = dict.fromkeys((o.name for o in BOOK), F(0))
    for first, last in zip(cuts, cuts[1:], strict=False):
        then = replace(part(whole, first, last), memory=memory)
        for line in settle(BOOK, then).lines:
            billed[line.obligation] += F(line.amount_usd)
        memory = remember(BOOK, memory, then)
    contracts = [{**o.model_dump(by_alias=True, exclude_none=True), "type": o.type} for o in BOOK]
    file = SiteFile({**DOCUMENT, "obligations": contracts}, {})
    run = known_hours(whole)
    for contract in contracts:
        bill = forward if contract["type"] == "forward" else BILLS[contract["type"]]
        owed = bill(file, run, {k: v for k, v in contract.items() if v is not None})
        assert float(billed[contract["name"]]) == pytest.approx(float(owed), abs=1e-6), (seed, contract["name"])


@pytest.mark.parametrize("seed", range(6))
def test_bills_of_random_cuts_add_up_to_the_hours_that_are_known(seed: int) -> None:
    adds_up(seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_bills_of_500_random_cuts_add_up_to_the_hours_that_are_known() -> None:
    for seed in range(6, 506):
        adds_up(seed)
