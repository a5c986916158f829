"""A site in MISO's Midwest through real days: an emergency, a dispatch and a day-ahead award among them, replayed and settled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from dispatch.site_file.defaults import default_file
from markets.archive.archive import Archive
from markets.facts import PriceMarket
from markets.grid import Interval, Market, OperatingDay
from optimizer.domain.money import cents
from tests.scenarios.archives import archive_of
from tests.scenarios.weeks import replay_with_calls

SITE = default_file("miso-midwest.toml")
HUB, EST = "INDIANA.HUB", Market.MISO.tz
# 2024-07-28 and -29: 704 and 543 $/MWh at INDIANA.HUB.
EMERGENCY, DISPATCH, AHEAD = date(2024, 7, 29), date(2024, 7, 28), date(2024, 7, 26)


def est(on: date, hour: int, minute: int = 0) -> datetime:
    return datetime(on.year, on.month, on.day, tzinfo=EST) + timedelta(hours=hour, minutes=minute)


def calls_and_awards() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What MISO sends: an emergency for hall a of four hours, two dispatches of hall b's block for three hours, and day-ahead awards."""
    call = {
        "id": "max-gen", "obligation": "lmr", "kind": "deploy", "mw_cap": 1.0, "authority": "MISO",
        "notice_at": est(EMERGENCY, 14).isoformat(), "start_at": est(EMERGENCY, 14, 30).isoformat(),
        "end_at": est(EMERGENCY, 18, 30).isoformat(),
    }  # fmt: skip

    def award(on: date, first: int, last: int, market: str, usd: float, mw: float = 25.0, product: str = "ENERGY") -> dict[str, Any]:
        return {
            "obligation": "drr", "product": product, "market": market, "mw": mw, "mcpc_usd_per_mw_h": usd,
            "interval_start": est(on, first).isoformat(), "interval_end": est(on, last).isoformat(),
        }  # fmt: skip

    return [call], [
        award(DISPATCH, 17, 20, "RT", 0.0),
        award(EMERGENCY, 16, 19, "RT", 0.0),
        award(AHEAD, 17, 19, "DAM", 95.0),
        award(EMERGENCY, 0, 24, "DAM", 4.25, 5.0, "SPIN"),
    ]


def replay_days(folder: Path, first: date, last: date) -> dict[date, dict[str, Any]]:
    """The newest statement of each day from first to last."""
    archive = archive_of(folder, "miso_rt_lmp_hourly_hubs_2020_2024.parquet")
    days = [OperatingDay(Market.MISO, first), OperatingDay(Market.MISO, last)]
    return replay_with_calls(folder, SITE, archive, days, *calls_and_awards())


def load_mw(statement: dict[str, Any], group: str, start: datetime, end: datetime) -> list[float]:
    return [float(row["groups_mw"][group]) for row in intervals_within(statement, start, end)]


def intervals_within(statement: dict[str, Any], start: datetime, end: datetime) -> list[dict[str, Any]]:
    return [r for r in statement["intervals"] if start <= datetime.fromisoformat(r["start"]) < end]


def charged_usd(statement: dict[str, Any], charge: str) -> D:
    return cents(sum((D(line["amount_usd"]) for line in statement["lines"] if line["charge_type"] == charge), D(0)))


def check_emergency(statement: dict[str, Any]) -> None:
    """The load is down from 14:30 to the end, though hashing would pay at some of these prices; no capacity pay is lost."""
    assert max(load_mw(statement, "a-s19xp", est(EMERGENCY, 14, 30), est(EMERGENCY, 18, 30))) <= 1.0
    assert charged_usd(statement, "lmr_capacity") == D("825.00"), "27.5 MW at 30.00 $/MW-day of summer 2024"
    assert charged_usd(statement, "lmr_shortfall") == charged_usd(statement, "lmr_forfeit") == 0
    # spinning reserve sold the day before, carried or bought back at no known real-time price
    assert charged_usd(statement, "spin_day_ahead") == 5 * 24 * D("4.25")


def check_dispatch(statement: dict[str, Any], on: date, first: int, last: int) -> None:
    """Hall b is a block below its baseline, and is paid the LMP for that difference, by an independent calculation."""
    rows = intervals_within(statement, est(on, first), est(on, last))
    assert all(float(r["groups_mw"]["b-s21"]) <= 3.5 + 1e-6 for r in rows[2:])
    exact = D(0)
    for r in rows:
        price, below = D(r["price_usd_per_mwh"][HUB]), D("28.5") - D(r["groups_mw"]["b-s21"])
        exact += min(max(below, D(0)), D(25)) / 12 * (price if price >= 25 else 0)
    assert float(charged_usd(statement, "drr_energy")) == pytest.approx(float(exact), rel=2e-4)
    assert charged_usd(statement, "drr_energy") > 0


def check_hours_without_dispatch(statement: dict[str, Any], archive: Path, dispatched: Sequence[tuple[datetime, datetime]]) -> int:
    """Hall b runs in undispatched hours priced under its breakeven, also above its offer. Returns how many hours."""
    kept = Archive(archive)
    over = Interval(datetime.fromisoformat(statement["intervals"][0]["start"]), datetime.fromisoformat(statement["intervals"][-1]["end"]))
    prices = sorted(kept.final_prices(HUB, (PriceMarket.REAL_TIME_HOURLY,), over), key=lambda p: p.over.start)
    checked = 0
    for before, now in zip(prices, prices[1:], strict=False):
        # the price of an hour is published two minutes after it, and holds until the next is
        start, end = now.over.start + timedelta(minutes=45), now.over.end
        if not 51.0 < before.usd_per_mwh < 92.0 or any(a < end and start < b for a, b in dispatched):
            continue
        assert min(load_mw(statement, "b-s21", start, end)) > 28.0, (start, before.usd_per_mwh)
        checked += 1
    return checked


@pytest.mark.slow(sample="only")
@pytest.mark.timeout(900)
def test_miso_emergency_day(tmp_path: Path) -> None:
    statement = replay_days(tmp_path, EMERGENCY, EMERGENCY)[EMERGENCY]
    check_emergency(statement)
    check_dispatch(statement, EMERGENCY, 16, 19)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_miso_week_with_emergency_dispatch_and_award(tmp_path: Path) -> None:
    statements = replay_days(tmp_path, date(2024, 7, 24), date(2024, 7, 30))
    check_emergency(statements[EMERGENCY])
    check_dispatch(statements[EMERGENCY], EMERGENCY, 16, 19)
    check_dispatch(statements[DISPATCH], DISPATCH, 17, 20)
    assert charged_usd(statements[AHEAD], "drr_day_ahead") == 50 * D(95)
    dispatched = [
        (est(EMERGENCY, 15, 30), est(EMERGENCY, 19)),
        (est(DISPATCH, 16, 30), est(DISPATCH, 20)),
        (est(AHEAD, 16, 30), est(AHEAD, 19)),
    ]
    assert sum(check_hours_without_dispatch(s, tmp_path / "archive", dispatched) for s in statements.values()) >= 3
    for on, statement in statements.items():
        assert len(statement["intervals"]) == 288 and charged_usd(statement, "lmr_capacity") == D("825.00"), on
        assert on in (EMERGENCY, DISPATCH, AHEAD) or charged_usd(statement, "drr_energy") == 0, "nothing is paid that nobody dispatched"
