"""The page's forecast band and score, from the journal of a run with a price model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dispatch.decide.state import State
from dispatch.service.replay import replay
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import SqlJournal
from dispatch.store.price_models import KeptPriceModel, keep_price_model
from dispatch.store.tables import open_ledger
from dispatch.web.chart import chart_document
from dispatch.web.forecast_document import forecast_document
from dispatch.web.live_view import LiveView
from tests.markets.forecasting.test_price_model import model
from tests.sites import small

START = datetime(2026, 8, 20, 12, tzinfo=UTC)


async def viewed(folder: Path, *, with_model: bool) -> LiveView:
    if with_model:
        text = model(point="LZ_WEST", about={"label": "LZ_WEST version 1"}).to_json()
        keep_price_model(open_ledger(folder), KeptPriceModel("LZ_WEST", 1, START, text), "ercot", accepted=True)
    await replay(small(), folder, START, START + timedelta(hours=2))
    view = LiveView(State.start(small(), setup_from_document))
    view.fold(SqlJournal(open_ledger(folder)).read())
    return view


async def test_forecasts_stand_beside_the_prices_that_followed(tmp_path: Path) -> None:
    view, now = await viewed(tmp_path, with_model=True), START + timedelta(hours=2)
    found = forecast_document(view, now)
    starts = [row["start"] for row in found["past"]]
    assert starts == sorted(set(starts)) and len(starts) >= 8
    priced = [row for row in found["past"] if row["price_usd_per_mwh"] is not None]
    assert len(priced) >= 6 and found["past"][-1]["price_usd_per_mwh"] is None
    assert found["score"]["intervals"] == len(priced) and {c["level"] for c in found["score"]["covered"]} == {0.1, 0.9}
    assert found["model"] == "LZ_WEST version 1" and len(found["ahead"]) == 16
    band = chart_document(view, now)["forecast"]
    assert len(band["x"]) == len(band["low"]) == len(band["high"]) >= len(starts) + 15 and band["levels"] == [0.1, 0.9]
    again = LiveView.from_json(view.to_json(), State.start(small(), setup_from_document))
    assert forecast_document(again, now) == found


async def test_without_a_model_there_is_no_band_and_no_score(tmp_path: Path) -> None:
    view, now = await viewed(tmp_path, with_model=False), START + timedelta(hours=2)
    found = forecast_document(view, now)
    assert found == {"point": "LZ_WEST", "model": None, "past": [], "ahead": [], "score": None}
    assert chart_document(view, now)["forecast"] == {"x": [], "end": [], "y": [], "label": [], "low": [], "high": [], "levels": []}
