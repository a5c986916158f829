"""A day's bill under contracts that look beyond the day: coincident peaks, demand of the month, forwards, hosting."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dispatch.settlement.contract_memory import prior_period
from dispatch.settlement.load_at_notice import loads_at_notice
from dispatch.store.rollups import Rollup, write_rollups
from markets.facts import Call, CallKind, SystemLoad, Temperature
from markets.grid import Grid, Interval, OperatingDay
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 8, 20)
DEMAND = """
[[obligations]]
type = "transmission"
name = "demand"
method = "ncp"
usd_per_kw_year = 120.0
"""
FOUR_CP = """
[[obligations]]
type = "transmission"
method = "4cp"
usd_per_kw_year = 70.0
"""
MONTHLY = """
[[obligations]]
type = "transmission"
method = "ncp"
usd_per_kw_year = 120.0

[[obligations]]
type = "forward"
ph = 2.0
usd_per_ph_day = 47.0
damages_usd_per_ph_day = 5.0
"""


def system(over: Interval, mw: float) -> SystemLoad:
    return SystemLoad(source="hand", known_at=over.end + timedelta(minutes=2), over=over, load_mw=mw)


@pytest.fixture
def peaky(tmp_path: Path) -> HandMadeDay:
    """A day at 70 GW, a quarter hour at 80 GW; the site runs all of it at 0.0465 MW."""
    site_day = HandMadeDay.of(tmp_path / "peaky", ON, extra=FOUR_CP)
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    site_day.facts += [system(over, 80_000.0 if n == 70 else 70_000.0) for n, over in enumerate(site_day.grid.intervals)]
    site_day.seen()
    return site_day


def test_the_peak_so_far_is_charged_until_a_higher_one_comes(peaky: HandMadeDay) -> None:
    first = peaky.settle()
    lines = [line for line in first["lines"] if line["obligation"] == "transmission"]
    assert [(line["interval_start"], line["quantity"], line["amount_usd"]) for line in lines] == [
        (peaky.grid.intervals[70].start.isoformat(), "0.0465", "-813.75")
    ]
    assert peaky.settle() == first, "nothing new is known: the same version"
    after = Interval(peaky.day.end + timedelta(days=2), peaky.day.end + timedelta(days=2, minutes=15))
    peaky.seen(after.end + timedelta(minutes=3), system(after, 81_000.0))
    second = peaky.settle()
    assert second["version"] == 2 and not [line for line in second["lines"] if line["obligation"] == "transmission"]
    assert Decimal(second["delta"]["net_usd"]) == Decimal("813.75")
    assert peaky.settle(version=1) == first
    assert second["counterfactuals"]["perfect_foresight"]["net_usd"]


def test_perfect_foresight_knows_the_peak(peaky: HandMadeDay) -> None:
    others = peaky.settle()["counterfactuals"]
    assert Decimal(others["perfect_foresight"]["lines"].get("transmission/coincident_peak", "0")) > -1  # standby draws
    assert Decimal(others["always_on"]["lines"]["transmission/coincident_peak"]) == Decimal("-813.75")


def test_strategies_differ_from_the_bill_by_their_weighed_part_of_the_months_demand(tmp_path: Path) -> None:
    """The site runs all day like always-on: both owe the month's demand whole. Foresight would have saved only this day's part of it."""
    site_day = HandMadeDay.of(tmp_path / "demand", ON, extra=DEMAND)
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    site_day.seen()
    day = site_day.settle()
    always, best = (day["counterfactuals"][name] for name in ("always_on", "perfect_foresight"))
    assert Decimal(always["net_usd"]) == Decimal(day["net_usd"]) and "demand/demand_carried" not in always["lines"]
    gap = sum(Decimal(row["exact_usd"]) for row in day["foresight_gap"])
    assert abs(Decimal(best["net_usd"]) + gap - Decimal(day["net_usd"])) < Decimal("0.05")
    assert Decimal(best["net_usd"]) >= Decimal(day["net_usd"])


def test_a_bill_remembers_the_month_before_the_day(tmp_path: Path) -> None:
    """The ledger's roll-ups of earlier days: of July nothing, of August the highest quarter hour, of the UTC day what was hashed."""
    site_day = HandMadeDay.of(tmp_path / "month", ON, extra=MONTHLY)
    site_day.prices(lambda n: 30.0)
    site_day.run_all()
    site_day.ran_before(30)
    site_day.seen()

    def kept(at: timedelta, mw: str) -> list[Rollup]:
        over = Interval(site_day.day.start + at, site_day.day.start + at + timedelta(minutes=15))
        return [Rollup(g, over, Decimal(mw) / 8, Decimal("0.01"), 4, 0.0) for g in ("a", "b")]

    write_rollups(
        site_day.engine, [*kept(timedelta(days=-25), "5"), *kept(timedelta(days=-3), "0.04"), *kept(timedelta(minutes=-15), "0.03")]
    )
    found = prior_period(site_day.engine, site_day.telemetry, site_day.setup, site_day.grid, None).memory
    assert found["transmission"].own_peak_mw == pytest.approx(0.04)
    assert found["forward"].delivered_ph_days == pytest.approx(0.02)
    assert found["forward"].needed_ph_days == pytest.approx(2.0 / 96)
    document = site_day.settle()
    demand = [line for line in document["lines"] if line["charge_type"] == "demand"]
    assert [Decimal(line["amount_usd"]) for line in demand] == [Decimal("-65.00")]  # 0.0065 MW over the 0.04 of the 17th, at 10,000 $
    assert document["totals"]["forward/forward_shortfall"] == "0.01", "what the evening before was short of, this day made good"


def test_without_contracts_that_remember_nothing_is_read(tmp_path: Path) -> None:
    site_day = HandMadeDay.of(tmp_path / "plain", ON)
    nothing = prior_period(site_day.engine, site_day.telemetry, site_day.setup, Grid(site_day.grid.edges), None)
    assert not nothing.peak_share and not nothing.memory


def test_a_memory_is_reckoned_at_the_last_temperature_as_the_bill_is(tmp_path: Path) -> None:
    """At 38 C, measured at noon and not since, 3 % and 0.2 % a degree above 25 are added to what the rigs drew at two o'clock."""
    site_day = HandMadeDay.of(tmp_path / "warm", ON, extra=DEMAND, share="0.03")
    site_day.ran_before(2)
    day_before = site_day.day.start - timedelta(days=1)
    at = [day_before + timedelta(hours=h) for h in (12, 14)]
    noon, two = (Interval(start, start + timedelta(minutes=15)) for start in at)
    site_day.seen(noon.end, Temperature(source="hand", known_at=noon.end, over=noon, celsius=38.0))
    write_rollups(site_day.engine, [Rollup(g, two, Decimal("0.005"), Decimal("0.01"), 4, 0.0) for g in ("a", "b")])
    found = prior_period(site_day.engine, site_day.telemetry, site_day.setup, site_day.grid, None).memory
    assert found["demand"].own_peak_mw == pytest.approx(0.04 * (1 + 0.03 + 0.002 * 13))


def test_bill_and_memory_see_a_forecast_that_came_the_evening_before(tmp_path: Path) -> None:
    """38 C, given twenty hours before and not again: the day's demand is the same in its bill and in the next day's memory."""
    site_day = HandMadeDay.of(tmp_path / "forecast", ON, extra=DEMAND, share="0.03")
    site_day.prices(lambda n: 30.0)
    over = Interval(site_day.day.start, site_day.day.end)
    given = site_day.day.start - timedelta(hours=20)
    site_day.seen(given, Temperature(source="hand", known_at=given, over=over, celsius=38.0))
    site_day.run_all()
    site_day.seen()
    (line,) = [line for line in site_day.settle()["lines"] if line["charge_type"] == "demand"]
    after = OperatingDay(site_day.day.market, ON + timedelta(days=1)).grid()
    found = prior_period(site_day.engine, site_day.telemetry, site_day.setup, after, None).memory
    assert found["demand"].own_peak_mw == pytest.approx(float(line["quantity"])) == pytest.approx(0.0465 * (1 + 0.03 + 0.002 * 13))


def test_a_reduction_is_judged_from_the_load_at_the_temperature_of_its_notice(tmp_path: Path) -> None:
    """A call noticed before midnight: the load before it is in the ledger, as the rigs drew it."""
    site_day = HandMadeDay.of(tmp_path / "notice", ON, share="0.03")
    notice, hours = site_day.day.start - timedelta(hours=1), timedelta(hours=1)
    warm, before = Interval(notice - 3 * hours, notice - 2 * hours), Interval(notice - hours / 4, notice)
    site_day.seen(warm.end, Temperature(source="hand", known_at=warm.end, over=warm, celsius=35.0))
    write_rollups(site_day.engine, [Rollup(g, before, Decimal("0.005"), Decimal("0.01"), 4, 0.0) for g in ("a", "b")])
    call = Call(
        source="qse", known_at=notice, id="c-1", version=1, obligation="power", kind=CallKind.DEPLOY, notice_at=notice,
        start_at=site_day.day.start + hours, end_at=site_day.day.start + 2 * hours, mw_delta=0.01,
    )  # fmt: skip
    found = loads_at_notice(site_day.engine, site_day.setup, [call], site_day.grid, {}, None)
    assert found == {"c-1": pytest.approx(0.04 * (1 + 0.03 + 0.002 * 10))}
