"""The score of the day's price forecasts in its statement: worked out by hand, the same in every version, and beside the money."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from dispatch.reports.labels import forecast_rows
from dispatch.reports.write import as_html, as_json, as_pdf, as_xlsx
from dispatch.settlement.document import DayStatement
from markets.facts import PriceForecast
from markets.grid import Interval
from tests.dispatch.settlement.fixtures import HandMadeDay

ON = date(2026, 7, 1)
# The break-evens of groups "a" and "b": 45 $/PH/day x PH a MW / 24 h, less the pool's 1 %, less 6.15 $/MWh; asleep a rig of "b" draws 10 W.
OF_A = 45.0 * 0.99 * (150.0 / 3000.0 * 1000.0) / 24.0 - 6.15
OF_B = 45.0 * 0.99 * (110.0 / 3290.0 * 1000.0) / 24.0 - 6.15


def forecast(made: HandMadeDay, first: int, usd: Sequence[float]) -> PriceForecast:
    """Made two minutes after the price of the interval before `first` became known."""
    start = made.grid.intervals[first].start
    return PriceForecast(
        source="price model", known_at=start + timedelta(minutes=2), point="LZ_WEST", over=Interval(start, start + timedelta(hours=1)),
        usd_per_mwh=tuple(usd), levels=(0.1, 0.9), quantiles=((20.0,) * 4, (70.0,) * 4), spike_usd_per_mwh=250.0,
        spike_probability=(0.0,) * 4, model="LZ_WEST version 1",
    )  # fmt: skip


def a_day(folder: Path, *, forecasts: bool = True) -> HandMadeDay:
    """A calm day but for interval 40, which costs 400 $. The forecast of it saw that coming; the last price of 30 $ did not. Interval 41
    was forecast at 200 $, and its price was 30 $ again."""
    made = HandMadeDay.of(folder, ON)
    usd = [400.0 if n == 40 else 30.0 for n in range(96)]
    for n in (39, 40, 41) if forecasts else ():
        start = made.grid.intervals[n].start
        before = made.price(made.grid.intervals[n - 1], usd[n - 1], known_at=start + timedelta(minutes=2))
        made.seen(start + timedelta(minutes=2), before, forecast(made, n, [{39: 30.0, 40: 300.0, 41: 200.0}[n], 30.0, 30.0, 30.0]))
    made.prices(lambda n: usd[n])
    made.run_all()
    made.seen()
    return made


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> DayStatement:
    return a_day(tmp_path_factory.mktemp("day")).settle()


def test_decisions_are_judged_at_the_break_evens_of_the_sites_own_groups(document: DayStatement) -> None:
    """By the forecast both groups sleep at 200 $ where 30 $ was paid; by the last price they run at 400 $ and then sleep at 30 $."""
    (score,) = document["forecast_scores"]
    mw = {OF_A: 10 * 3000 / 1e6, OF_B: 5 * 3290 / 1e6}
    slept_at_30 = sum((usd - 30.0) * load for usd, load in mw.items()) / 4
    ran_at_400 = sum((400.0 - usd) * load for usd, load in mw.items()) / 4
    assert (score["point"], score["intervals"], score["of"]) == ("LZ_WEST", 3, 96)
    assert score["lost_usd"] == f"{slept_at_30:.2f}" and score["last_price_lost_usd"] == f"{ran_at_400 + slept_at_30:.2f}"
    assert score["covered"] == [{"level": 0.1, "share": 0.0}, {"level": 0.9, "share": round(2 / 3, 4)}]
    # 30 $: 10 above the lower quantile (0.1 x 10) and 40 under the upper one (0.1 x 40); 400 $: 380 and 330 above (0.1 and 0.9 of it).
    assert score["pinball_usd_per_mwh"] == f"{(2 * (1.0 + 4.0) + 38.0 + 297.0) / 6:.2f}"


def test_the_score_is_no_part_of_the_money_and_the_same_in_every_version(document: DayStatement, tmp_path: Path) -> None:
    made = a_day(tmp_path / "again")
    first, again, plain = made.settle(), made.settle(), a_day(tmp_path / "plain", forecasts=False).settle()
    assert as_json(first) == as_json(again) == as_json(made.settle(version=1))
    assert first["forecast_scores"] == document["forecast_scores"]
    for key in ("net_exact_usd", "totals", "lines", "counterfactuals", "differences"):
        assert first[key] == plain[key]  # type: ignore[literal-required]
    early, late = (made.grid.intervals[n].start + timedelta(minutes=3) for n in (40, 41))  # a minute after the price of the interval before
    assert [made.settle(known_at=at)["forecast_scores"][0]["intervals"] for at in (early, late)] == [1, 2]


def test_a_day_without_forecasts_says_that_its_score_is_unknown(tmp_path: Path) -> None:
    document = a_day(tmp_path, forecasts=False).settle()
    (score,) = document["forecast_scores"]
    assert score["lost_usd"] is None and score["pinball_usd_per_mwh"] is None and score["covered"] == []
    assert score["text"] == "The price forecast of LZ_WEST has no score: no forecast of a price model was recorded."
    assert score["text"] in as_html(document) and forecast_rows(document) == []


def test_every_report_has_it(document: DayStatement) -> None:
    (score,) = document["forecast_scores"]
    page, pdf = as_html(document), " ".join(p.extract_text() for p in PdfReader(BytesIO(as_pdf(document))).pages)
    for text in (page, pdf):
        assert "Price forecast against the last price" in text and "prices within the 90 % quantile" in text
        assert score["lost_usd"] in text and score["last_price_lost_usd"] in text
    cells = " ".join(str(value) for sheet in load_workbook(BytesIO(as_xlsx(document))) for row in sheet.values for value in row)
    assert score["lost_usd"] in cells and score["last_price_lost_usd"] in cells
    older = {key: value for key, value in document.items() if key != "forecast_scores"}
    assert "Price forecast" not in as_html(older) and as_pdf(older) and as_xlsx(older)  # type: ignore[arg-type]
