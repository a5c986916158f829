"""Price models in the running loop: their forecasts are recorded and planned on, and made again from the journal; a model that cannot be
used is said so, and the last price decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from dispatch.entries import Planned, Seen
from dispatch.runtime.observer import FORECASTS
from dispatch.runtime.price_forecasts import USUAL_BREAK_EVENS, PriceForecasts, break_evens_of, newest_models
from dispatch.runtime.redecide import redecide
from dispatch.service.replay import replay
from dispatch.site_file.load import load_site_file
from dispatch.store import LedgerUnavailable
from dispatch.store.journal import SqlJournal
from dispatch.store.price_models import KEPT, KeptPriceModel, keep_price_model
from dispatch.store.tables import open_ledger
from dispatch.store.verify import verify
from markets.factbook import FactBook
from markets.facts import HashPrice, PriceForecast
from markets.forecasting.price_model import PriceModel
from markets.grid import Interval, Market
from optimizer.domain.contract import Contract
from optimizer.domain.load_and_price_limits import StopPrice
from optimizer.domain.site import Site
from optimizer.lp.program import Program
from tests.markets.forecasting.test_price_model import book, model
from tests.sites import small

START = datetime(2026, 8, 20, 12, 0, tzinfo=UTC)
DEMO = Path(__file__).parents[3] / "config" / "demo-site.toml"


def keep(data: Path, made: PriceModel, point: str, text: str | None = None, accepted: bool = True) -> None:
    keep_price_model(open_ledger(data), KeptPriceModel(point, 1, START, made.to_json() if text is None else text), "ercot", accepted)


async def run(data: Path) -> list[tuple[int, object]]:
    await replay(small(), data, START, START + timedelta(hours=1))
    return list(SqlJournal(open_ledger(data)).read())


async def test_the_loop_records_forecasts_plans_on_them_and_decides_the_same_again(tmp_path: Path) -> None:
    keep(tmp_path, model(point="LZ_WEST", about={"label": "LZ_WEST version 1"}), "LZ_WEST")
    rows = await run(tmp_path)
    made = [fact for _, entry in rows if isinstance(entry, Seen) for fact in entry.facts if isinstance(fact, PriceForecast)]
    starts = [forecast.over.start for forecast in made]
    assert len(made) >= 4 and len(set(starts)) == len(starts), "one for each new price"
    assert any(isinstance(entry, Planned) and entry.plan is not None for _, entry in rows)
    again = redecide(SqlJournal(open_ledger(tmp_path)).read())
    assert again.plans >= 4 and again.findings == []


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("{", "cannot be read"),
        (model(point="LZ_WEST").to_json()[:-40], "cannot be read"),
        (model(point="LZ_WEST", market=Market.MISO).to_json(), "it was trained on LZ_WEST in miso"),
        (None, "it was trained on HB_WEST in ercot"),
    ],
    ids=["no JSON", "cut short", "another market", "another point"],
)
async def test_a_model_that_cannot_be_used_is_said_so_and_the_last_price_decides(tmp_path: Path, text: str | None, about: str) -> None:
    keep(tmp_path, model(), "LZ_WEST", text)
    seen = [entry for _, entry in await run(tmp_path) if isinstance(entry, Seen)]
    assert not any(isinstance(fact, PriceForecast) for entry in seen for fact in entry.facts)
    assert all("the last price is" in entry.alerts[FORECASTS] and about in entry.alerts[FORECASTS] for entry in seen)


async def test_a_model_that_was_not_accepted_is_not_used(tmp_path: Path) -> None:
    keep(tmp_path, model(point="LZ_WEST"), "LZ_WEST", accepted=False)
    seen = [entry for _, entry in await run(tmp_path) if isinstance(entry, Seen)]
    assert not any(isinstance(fact, PriceForecast) for entry in seen for fact in entry.facts)
    assert not any(FORECASTS in entry.alerts for entry in seen)


def test_a_model_worse_than_the_last_price_is_withheld_until_it_is_not() -> None:
    known, at = book(prices=600), datetime(2026, 7, 10, 17, 2, tzinfo=UTC)
    texts = [model(-5.0).to_json(), replace(model(0.0)).to_json()]
    forecasts = PriceForecasts(("HB_WEST",), Market.ERCOT, lambda point, market: KeptPriceModel(point, 1, at, texts[0]))
    assert forecasts.after(known, at) == []
    assert forecasts.alerts["HB_WEST"].startswith(
        "Version 1 of the price model of HB_WEST is not used and the last price is: over the last"
    )
    del texts[0]
    assert forecasts.after(known, at) == [], "it is looked at once a day"
    assert len(forecasts.after(known, at + timedelta(hours=7))) == 0, "the newest price is stale"
    assert forecasts.alerts == {}


def test_a_ledger_that_is_busy_once_does_not_turn_a_model_off_for_the_day() -> None:
    known, at = book(prices=600), datetime(2026, 7, 10, 17, 2, tzinfo=UTC)
    asked: list[str] = []

    def newest(point: str, market: str) -> KeptPriceModel | None:
        asked.append(point)
        if asked == ["HB_WEST"]:
            raise LedgerUnavailable("database is locked")
        return KeptPriceModel(point, 1, at, model().to_json()) if point == "HB_WEST" else None

    forecasts = PriceForecasts(("HB_WEST", "HB_NORTH"), Market.ERCOT, newest)
    assert forecasts.after(known, at) == []
    assert forecasts.alerts == {"HB_WEST": "The price model of HB_WEST is not used and the last price is: database is locked."}
    assert len(forecasts.after(known, at + timedelta(minutes=1))) == 1 and forecasts.alerts == {}
    forecasts.after(known, at + timedelta(minutes=2))
    assert asked == ["HB_WEST", "HB_NORTH", "HB_WEST"], "what was answered is not asked again that day"


def test_a_model_is_judged_at_the_sites_own_break_evens() -> None:
    known, at = book(prices=600), datetime(2026, 7, 10, 17, 2, tzinfo=UTC)
    kept = KeptPriceModel("HB_WEST", 1, at, model(-5.0).to_json())
    judged = PriceForecasts(("HB_WEST",), Market.ERCOT, lambda point, market: kept, lambda book, at, point: (5000.0,))
    assert len(judged.after(known, at)) == 1 and judged.alerts == {}, "both always run at this break-even, so the model is not worse"


def test_break_evens_are_those_of_the_sites_groups_at_the_point() -> None:
    setup, at = load_site_file(DEMO), datetime(2026, 7, 10, 17, 2, tzinfo=UTC)
    of_site = break_evens_of(setup)
    assert of_site(FactBook(), at, "LZ_WEST") == USUAL_BREAK_EVENS, "no hashprice is known"
    fact = HashPrice(source="test", known_at=at, over=Interval(at - timedelta(days=1), at), usd_per_ph_day=45.0, basis="test")
    found = of_site(FactBook().after([fact]), at, "LZ_WEST")
    at_the_wall = sorted({45.0 * 0.99 * 1000 / 24 / g.full.j_per_th for g in setup.site.groups})
    assert len(found) == 3 and found[0] < at_the_wall[0] and found[-1] < at_the_wall[-1], "overhead and adders come off"
    assert of_site(FactBook().after([fact]), at, "HB_NORTH") == USUAL_BREAK_EVENS


class RaisesInShape(Contract):
    """A plug-in with a defect."""

    type: ClassVar[str] = "raises in shape"
    name: str = "raises in shape"

    def shape(self, program: Program) -> None:
        raise RuntimeError("a defect")


class RaisesInStopPrices(Contract):
    """A plug-in with another."""

    type: ClassVar[str] = "raises in stop prices"
    name: str = "raises in stop prices"

    def stop_prices(self, site: Site) -> dict[str, StopPrice]:
        raise LookupError("a rule is missing")


def test_a_contract_that_raises_does_not_end_the_loop_through_break_evens() -> None:
    setup, at = load_site_file(DEMO), datetime(2026, 7, 10, 17, 2, tzinfo=UTC)
    fact = HashPrice(source="test", known_at=at, over=Interval(at - timedelta(days=1), at), usd_per_ph_day=45.0, basis="test")
    facts = FactBook().after([fact])
    expected = break_evens_of(setup)(facts, at, "LZ_WEST")
    assert break_evens_of(replace(setup, book=(*setup.book, RaisesInShape())))(facts, at, "LZ_WEST") == expected
    assert break_evens_of(replace(setup, book=(*setup.book, RaisesInStopPrices())))(facts, at, "LZ_WEST") == USUAL_BREAK_EVENS


def test_the_ledger_serves_the_newest_accepted_version_and_none_that_was_changed(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    for version, accepted in ((1, True), (2, True), (3, False)):
        keep_price_model(engine, KeptPriceModel("HB_WEST", version, START, f'{{"version":{version}}}'), "ercot", accepted)
    newest = newest_models(engine)
    found = newest("HB_WEST", "ercot")
    assert found is not None and (found.version, found.text) == (2, '{"version":2}')
    assert newest("HB_WEST", "miso") is None and newest("HB_NORTH", "ercot") is None
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE price_models SET sha256 = 'x' WHERE version = 2")
    assert newest("HB_WEST", "ercot").text == ""  # type: ignore[union-attr]


def test_a_refused_model_that_was_set_to_accepted_by_hand_is_named_and_not_used(tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    for version in range(1, KEPT + 3):
        keep_price_model(engine, KeptPriceModel("HB_WEST", version, START, "{}"), "ercot", version < KEPT + 2)
    assert verify(engine).findings == (), "versions that went for new ones are no finding"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE price_models SET accepted = 1 WHERE version = {KEPT + 2}")
    found = newest_models(engine)("HB_WEST", "ercot")
    assert found is not None and (found.version, found.text) == (KEPT + 2, "")
    findings = verify(engine).findings
    assert [f.kind for f in findings] == ["record"] and f"price_models: row HB_WEST {KEPT + 2} was changed" in findings[0].text
