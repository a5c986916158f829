"""What contracts remember: bills of the parts of a period add up to the bill of the whole, wherever it is cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.grid import Grid
from optimizer.domain.actuals import Actuals
from optimizer.domain.billing import remember
from optimizer.domain.site import Scope
from optimizer.obligations.forward import Forward
from optimizer.obligations.hosting import Hosting
from optimizer.obligations.transmission import Transmission
from optimizer.settlement.settle import settle
from tests.optimizer.fixtures import group, site

# Over the end of a UTC day, of a Texas day and of a month; the eight hours are cut on a full hour, as the loop folds them.
START = datetime(2026, 8, 31, 22, tzinfo=UTC)
HOURS = 8

CONTRACTS = {
    "demand": Transmission(method="ncp", usd_per_kw_year=120.0, contract_mw=1.0),
    "demand under the contract's": Transmission(method="ncp", usd_per_kw_year=120.0, contract_mw=5.0),
    "demand of half hours": Transmission(method="ncp", usd_per_kw_year=120.0, interval_min=30),
    "minimum demand": Transmission(method="mbd", usd_per_kw_year=80.0, cp_year_start=9),
    "coincident peak": Transmission(method="4cp", usd_per_kw_year=70.0),
    "forward of days": Forward(ph=90, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0),
    "forward of hours": Forward(ph=90, usd_per_ph_day=47.0, damages_usd_per_ph_day=5.0, delivery="hourly"),
    "hosting": Hosting(usd_per_mwh=70.0, uptime=0.6, credit_usd_per_mwh=20.0, strike_usd_per_mwh=60.0, scope=Scope(tenant="guest")),
}


def happened(rng: np.random.Generator, gaps: bool) -> Actuals:
    over = Grid.regular(START, START + timedelta(hours=HOURS), 15)

    def drawn(most: float) -> list[Decimal]:
        values = [Decimal(int(n)) / 1000 for n in rng.integers(0, int(most * 1000), len(over))]
        return [Decimal("NaN") if gaps and rng.random() < 0.1 else v for v in values]

    return Actuals(
        site=site(group("g", rigs=1000, tenant="guest"), group("h", rigs=500)),
        grid=over, energy_mwh={"g": drawn(0.9), "h": drawn(0.5)}, hash_ph_days={"g": drawn(2.2), "h": drawn(1.1)},
        energy_price={"LZ_WEST": drawn(120)}, hashprice=[Decimal(45)] * len(over),
        peak_share={15: [Decimal(int(n == 7)) for n in range(len(over))]},
    )  # fmt: skip


def part(whole: Actuals, cut: slice) -> Actuals:
    edges = whole.grid.edges[cut.start or 0 : (cut.stop or len(whole.grid)) + 1]
    return replace(
        whole, grid=Grid(edges), hashprice=whole.hashprice[cut], energy_mwh={k: v[cut] for k, v in whole.energy_mwh.items()},
        hash_ph_days={k: v[cut] for k, v in whole.hash_ph_days.items()}, energy_price={k: v[cut] for k, v in whole.energy_price.items()},
        peak_share={k: v[cut] for k, v in whole.peak_share.items()},
    )  # fmt: skip


@pytest.mark.parametrize("kind", CONTRACTS)
@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), hour=st.integers(1, HOURS - 1), gaps=st.booleans())
def test_a_span_settled_in_parts_adds_up_to_the_span(kind, seed, hour, gaps):
    contract, whole = CONTRACTS[kind], happened(np.random.default_rng(seed), gaps)
    first, rest = part(whole, slice(0, 4 * hour)), part(whole, slice(4 * hour, None))
    bills = settle((contract,), first).net_exact_usd
    bills += settle((contract,), replace(rest, memory=remember((contract,), {}, first))).net_exact_usd
    assert abs(bills - settle((contract,), whole).net_exact_usd) < Decimal("1e-6")


def flat(document):
    """The values of a document by the path of their keys, which pytest.approx needs."""
    plain = {}
    for key, value in document.items():
        nested = flat(value) if isinstance(value, dict) else None
        plain |= {key: value} if nested is None else {f"{key}.{inner}": found for inner, found in nested.items()}
    return plain


@pytest.mark.parametrize("kind", CONTRACTS)
def test_memory_carried_hour_by_hour_equals_memory_of_the_span(kind):
    contract, whole = CONTRACTS[kind], happened(np.random.default_rng(2), gaps=True)
    at_once, by_hour = contract.remember(contract.memory_type(), whole), contract.memory_type()
    for hour in range(HOURS):
        by_hour = contract.remember(by_hour, part(whole, slice(4 * hour, 4 * hour + 4)))
    plain = [flat({k: v for k, v in memory.to_json().items() if k not in ("load_before_mw", "baselines")}) for memory in (by_hour, at_once)]
    assert plain[0] == pytest.approx(plain[1]) and contract.memory_type.from_json(at_once.to_json()) == at_once
