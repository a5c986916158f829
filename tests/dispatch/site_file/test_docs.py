"""The page on the site file names every key there is, and the dated rules hold together."""

from datetime import date
from pathlib import Path

import pytest

from dispatch import ConfigError
from dispatch.rigs.wire import OF_MAKE
from dispatch.site_file import market_rules, plugins, rig_catalogue
from dispatch.site_file.defaults import default_file
from dispatch.site_file.errors import keys_of
from dispatch.site_file.load import SITE_FILE_SECTIONS
from dispatch.site_file.setup import ApiSettings
from markets.grid import Market
from optimizer.domain.site import Hall, Meter, Overhead, RigGroup, Scope, Site
from tests.docs.pages import DOCS, blocks

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "site-file.md").read_text("utf-8")
TABLES = [Site, Meter, Hall, Overhead, RigGroup, Scope, ApiSettings]
GROUPS = (
    plugins.SOURCES,
    plugins.HASHPRICES,
    plugins.GENERATION,
    plugins.WEATHER,
    plugins.DRIVERS,
    plugins.METERS,
    plugins.COOLING,
    plugins.GENERATORS,
)
CHOICES = [plugins.installed(group)[word] for group in GROUPS for word in plugins.installed(group)]


@pytest.mark.parametrize("key", sorted({key for table in (*TABLES, *CHOICES) for key in keys_of(table)}))
def test_the_page_names_every_key(key: str) -> None:
    assert f"`{key}`" in PAGE or f"[[{key}]]" in PAGE or f", {key}" in PAGE or f"{{ {key}" in PAGE or key in ("source", "kind")


def test_the_page_names_every_choice() -> None:
    for word in (w for group in GROUPS for w in plugins.installed(group)):
        assert f"`{word}`" in PAGE, word
    for section in SITE_FILE_SECTIONS:
        assert f"[{section}]" in PAGE, section


def test_rules_are_in_force_on_their_days_only() -> None:
    held = market_rules.read_market_rules(default_file("programs.toml"))
    assert held.number("ercot.price_floor", date(2026, 7, 1)) == -251
    assert [held.number("ercot.offer_cap", date(*on)) for on in ((2021, 2, 15), (2022, 1, 1), (2025, 12, 4), (2025, 12, 5))] == [
        9000,
        5000,
        5000,
        2000,
    ]
    for market in (Market.ERCOT, Market.MISO):
        assert held.number(f"{market.value}.settlement_interval", date(2026, 7, 1)) == market.settlement_min
    assert str(Market.ERCOT.tz) == held.in_force("ercot.market_clock", date(2026, 7, 1)).value
    with pytest.raises(KeyError, match="no rule 'ercot.price_floor' holds on 1999-01-01"):
        held.in_force("ercot.price_floor", date(1999, 1, 1))
    assert held.find("ercot.nothing", date(2026, 7, 1)) is None
    with pytest.raises(KeyError, match="not a number"):
        held.number("miso.market_clock", date(2026, 7, 1))


def test_unverified_rules_are_listed() -> None:
    held = market_rules.read_market_rules(default_file("programs.toml"))
    then = held.unverified(Market.ERCOT, date(2021, 2, 15))
    assert len(then) == 1 and then[0].startswith("ercot.offer_cap: ") and "9,000" in then[0]
    assert not any("ercot" in text for text in held.unverified(Market.MISO))


RULE = '[[rules]]\nid = "x"\nvalue = 1\nunit = "mw"\nfrom = {start}\n{end}published = "p"\ntext = "t"\nverified = true\n'


def test_two_rules_of_one_id_may_not_overlap(tmp_path: Path) -> None:
    file = tmp_path / "programs.toml"
    first = RULE.format(start="2020-01-01", end="to = 2021-01-01\n")
    file.write_text(first + RULE.format(start="2021-01-01", end=""))
    assert len(market_rules.read_market_rules(file).rules) == 2
    file.write_text(first + RULE.format(start="2020-12-31", end=""))
    with pytest.raises(ConfigError, match="programs.toml: rules#2.from: x already has a value from 2020-01-01 on"):
        market_rules.read_market_rules(file)


def test_all_faults_of_a_rule_file_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "programs.toml"
    file.write_text(
        RULE.format(start="2020-01-01", end="to = 2019-01-01\n") + RULE.replace('unit = "mw"\n', "").format(start="2020-01-01", end="")
    )
    with pytest.raises(ConfigError) as caught:
        market_rules.read_market_rules(file)
    assert [f.split(": ", 1)[1] for f in caught.value.faults] == [
        "rules#1: holds until 2019-01-01, which is not after 2020-01-01",
        "rules#2.unit: is missing",
    ]


def test_all_faults_of_a_rig_catalogue_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "rigs.toml"
    model = '[models.{}]\nmake = "m"\nname = "n"\nwake_min = {}\nstandby_watts = 5\nmodes = {}\nsources = "s"\n'
    file.write_text(model.format("one", -1, "[]") + model.format("two", 1, '[{ name = "sleep", watts = 1, ths = 0 }]'))
    with pytest.raises(ConfigError) as caught:
        rig_catalogue.read_rig_catalogue(file)
    assert [f.split(": ", 1)[1] for f in caught.value.faults] == [
        "models.one.wake_min: must be at least 0, not -1",
        "models.two: modes needs sleep and at least one more, each name once",
    ]


def test_every_figure_of_the_rig_catalogue_has_a_source() -> None:
    models = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models
    assert len(models) >= 12
    for name, model in models.items():
        assert model.sources, name
        assert set(model.figures.values()) <= {"stated", "listed", "measured", "assumed"}, name
        assert {"standby_watts", "wake_min"} <= model.figures.keys(), name
        watts = [m.watts for m in model.modes]
        assert model.modes[0].name == "sleep" and watts == sorted(watts), name
        assert model.modes[0].watts == model.standby_watts, name


def test_the_how_to_page_writes_a_rig_model_that_the_catalogue_takes(tmp_path: Path) -> None:
    (block,) = [body for kind, body in blocks(DOCS / "how-to" / "add-a-rig-model.md") if kind == "toml"]
    (tmp_path / "rigs.toml").write_text(block)
    ((name, model),) = rig_catalogue.read_rig_catalogue(tmp_path / "rigs.toml").models.items()
    assert model.make in OF_MAKE and name.startswith(model.make)
    assert {m.name for m in model.modes if m.name != "sleep"} | {"standby_watts", "wake_min"} == set(model.figures)
