"""The bill recomputed in fractions from nothing but the parquet files, the prices and the contract: it agrees to the cent."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from markets.facts import Temperature
from markets.grid import Interval, Market
from tests.dispatch.settlement.fixtures import HandMadeDay
from tests.independent_day_bill import GH_PER_PH_DAY, MW_MS_PER_MWH, cents, integrals

LOSS, SHARE, PER_C, ADDERS, HASHPRICE, FEE = (Fraction(x) for x in ("1.0178", "0.03", "0.002", "6.15", "45", "0.01"))


def bill(site_day: HandMadeDay, price: dict[int, float], celsius: dict[int, float]) -> dict[str, Decimal]:
    """The charges by docs/rules.md: metered load x loss factor x price, adders, hashprice less fee."""
    spans = [(int(o.start.timestamp()) * 1000, int(o.end.timestamp()) * 1000) for o in site_day.grid.intervals]
    energy = revenue = adders = Fraction(0)
    for group in ("a", "b"):
        watts = integrals(site_day.folder / "telemetry", group, "watts", spans)
        hashes = integrals(site_day.folder / "telemetry", group, "ths", spans)
        for n in range(len(spans)):
            mwh = Fraction(watts[n], MW_MS_PER_MWH) * (1 + SHARE + PER_C * max(Fraction(0), Fraction(str(celsius[n])) - 25)) * LOSS
            energy -= mwh * Fraction(str(price[n]))
            adders -= mwh * ADDERS
            revenue += Fraction(hashes[n], GH_PER_PH_DAY) * HASHPRICE
    return {
        "hashing/hash_revenue": cents(revenue),
        "hashing/pool_fee": cents(-revenue * FEE),
        "power/energy": cents(energy),
        "power/adders": cents(adders),
    }


@pytest.mark.parametrize(
    ("seed", "market", "on"),
    [
        (1, Market.ERCOT, date(2026, 7, 1)),
        (2, Market.ERCOT, date(2026, 3, 8)),
        (3, Market.ERCOT, date(2026, 11, 1)),
        (4, Market.ERCOT, date(2021, 2, 15)),
        (5, Market.MISO, date(2026, 11, 1)),
        (6, Market.ERCOT, date(2024, 2, 29)),
    ],
)
def test_an_independent_recomputation_agrees_to_the_cent(tmp_path: Path, seed: int, market: Market, on: date) -> None:
    dice = random.Random(seed)
    site_day = HandMadeDay.of(tmp_path, on, market, loss="1.0178", share="0.03")
    price = {n: round(dice.choice([dice.uniform(-30, 60), dice.uniform(60, 400), 5000.0]), 2) for n in range(len(site_day.grid))}
    site_day.prices(price.__getitem__)
    celsius = {}
    for n, over in enumerate(site_day.grid.intervals):
        hour = datetime(over.start.year, over.start.month, over.start.day, over.start.hour, tzinfo=UTC)
        if over.start == hour or n == 0:
            warm = round(dice.uniform(-5, 42), 1)
            span = Interval(hour, hour + timedelta(hours=1))
            site_day.facts.append(Temperature(source="hand", known_at=hour, over=span, celsius=warm))
        celsius[n] = warm
    rigs = {"a": (10, 3000.0, 150.0), "b": (5, 3300.0, 110.0)}
    for group, (count, watts, ths) in rigs.items():
        site_day.read(site_day.day.start - timedelta(minutes=3), group, range(count), [watts] * count, [ths] * count)
    at = site_day.day.start.timestamp()
    while at < site_day.day.end.timestamp():
        at += dice.uniform(20, 1500)
        group = dice.choice("ab")
        count, watts, ths = rigs[group]
        some = sorted(dice.sample(range(count), dice.randint(1, count)))
        asleep, unread = dice.random() < 0.3, dice.random() < 0.1
        draw = [float("nan") if unread else dice.uniform(0, 30) if asleep else watts * dice.uniform(0.9, 1.1) for _ in some]
        hashed = [float("nan") if unread else 0.0 if asleep else ths * dice.uniform(0.9, 1.1) for _ in some]
        site_day.telemetry.record(at, group, some, draw, hashed, "poll")
    site_day.seen()
    document = site_day.settle()
    assert {name: Decimal(usd) for name, usd in document["totals"].items()} == bill(site_day, price, celsius)
    assert Decimal(document["net_usd"]) == sum(map(Decimal, document["totals"].values())), "the printed statement foots"
    assert abs(sum(Decimal(x["amount_usd"]) for x in document["lines"]) - Decimal(document["net_exact_usd"])) < Decimal("1e-12")
    for line in document["lines"]:
        exact = Fraction(line["quantity"]) * Fraction(line["rate"])
        assert abs(exact - Fraction(line["amount_usd"])) <= abs(exact) * Fraction(1, 10**24)
