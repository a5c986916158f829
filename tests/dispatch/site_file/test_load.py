"""The site file: read whole, every fault at once, in its author's words."""

import os
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dispatch import ConfigError
from dispatch.entries import canonical_json
from dispatch.rigs.driver_sections import CpuMinerSettings, PyasicSettings, driver_settings
from dispatch.sim.driver_sections import SimulatedSettings
from dispatch.site_file import plugins, sections
from dispatch.site_file.defaults import DEMO_SITE, default_file
from dispatch.site_file.errors import to_json_values
from dispatch.site_file.load import check_site_file, load_site_file, setup_from_document

ROOT = Path(__file__).parents[3]
SHIPPED = (
    "demo-site.toml",
    "ercot-site.toml",
    "miso-site.toml",
    "miso-midwest.toml",
    "hosting-site.toml",
    "tariff-site.toml",
    "gas-site.toml",
    "solar-site.toml",
)

# A site file with every section (docs/reference/site-file.md): names of what is not built yet included.
APPENDIX_A = """
[site]
name = "Pecos 1"
market = "ercot"                      # ercot | miso | tariff
timezone = "America/Chicago"          # labels only; UTC inside
settlement_point = "LZ_WEST"          # default for the meters below
interconnect_mw = 102.0
control_interval_min = 15             # first hours; then hourly to horizon_h
horizon_h = 48
safe_state = "hold"                   # hold | sleep | run: when nothing is known any more
link_loss = "hold"

[[meters]]                            # one per ESI ID / CPNode; ERS and CLR need their own
id = "main"                           # esi_id = "1008901…"
settlement_point = "LZ_WEST"
loss_factor = 1.0178

[[halls]]
name = "a"
meter = "main"
limit_mw = 51.0
overhead = { share = 0.03, share_per_c_above_25 = 0.002 }
max_starts_per_min = 400

[[groups]]
name = "a-s19jpro"
hall = "a"
model = "antminer-s19j-pro"           # from config/rigs.toml; modes, watts, TH/s, wake time can be overridden here
rigs = 11000
tenant = "own"
modes = ["sleep", "normal"]
min_on_min = 30
min_off_min = 30
wear_usd_per_start = 0.05
driver = { kind = "simulated" }       # simulated | pyasic (subnet or roster = "rigs.csv") | pyasic-rs | fleet-bridge | dry-run

[prices]
source = "gridstatus"                 # gridstatus | archive (path) | synthetic (seed) | tariff (file)

[hash]
source = "fixed"                      # fixed | archive | mempool (url) | bitcoind (url, cookie)
usd_per_ph_day = 45.0
pool_fee = 0.01

[[obligations]]                       # type = the key of an entry point; scope defaults to the whole site
type = "power"
adders_usd_per_mwh = 6.15

[[obligations]]
type = "block"
mw = 60.0
usd_per_mwh = 32.50
sell_back = { haircut_usd_per_mwh = 0.0, cap_mw = 60.0 }
from = "2026-01-01T00:00:00-06:00"
to = "2031-01-01T00:00:00-06:00"
"""
NOT_BUILT = """
[[obligations]]
type = "transmission"
method = "4cp"
usd_per_kw_year = 70.00

[[obligations]]
type = "ancillary"
scope = { meter = "clr" }
products = ["ECRS", "NSPIN"]
qualified_mw = { ECRS = 20.0, NSPIN = 15.0 }

[[obligations]]
type = "ers"
scope = { meter = "ers" }
product = "ERS-30"
mw = 10.0
max_base_load_mw = 1.0
usd_per_mw_hour = 7.25
periods = [{ name = "TP2", months = [6, 7, 8, 9], weekdays = true, hours = [9, 10, 11, 12, 13] }]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "site.toml"
    path.write_text(text, "utf-8")
    return path


def faults_of(folder: Path, text: str) -> list[str]:
    """The faults, without the file's name."""
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_site_file(path)
    assert all(f.startswith(f"{path}: ") for f in caught.value.faults)
    return [f.removeprefix(f"{path}: ") for f in caught.value.faults]


# ERS and a controllable load need an ESI ID each.
OWN_METERS = "".join(
    f"""
[[meters]]
id = "{name}"

[[halls]]
name = "{name}"
meter = "{name}"
limit_mw = 30.0

[[groups]]
name = "{name}-s21"
hall = "{name}"
model = "antminer-s21"
rigs = 4000
"""
    for name in ("clr", "ers")
)


def test_appendix_a_has_no_fault(tmp_path: Path) -> None:
    whole = load_site_file(written(tmp_path, APPENDIX_A + NOT_BUILT + OWN_METERS))
    assert [o.type for o in whole.book] == ["hashing", "power", "block", "transmission", "ancillary", "ers", "plant", "transition"]
    assert faults_of(tmp_path, APPENDIX_A + NOT_BUILT) == [
        "obligations.ancillary.scope.meter: there is no meter 'clr'; known: main",
        "obligations.ers.scope.meter: there is no meter 'ers'; known: main",
    ]


def test_services_of_appendix_a_use_market_rules(tmp_path: Path) -> None:
    services = NOT_BUILT[NOT_BUILT.index('[[obligations]]\ntype = "ancillary"') :]
    setup = load_site_file(written(tmp_path, APPENDIX_A + services + OWN_METERS))
    ancillary, ers = setup.book[3:5]
    assert (ancillary.products, ancillary.qualified_mw) == (("ECRS", "NSPIN"), {"ECRS": 20.0, "NSPIN": 15.0})
    assert (ers.product, ers.mw, ers.max_base_load_mw, ers.usd_per_mw_hour) == ("ERS-30", 10.0, 1.0, 7.25)
    assert ers.periods[0].hours == (9, 10, 11, 12, 13)
    assert ers.scope.names(setup.site) == ("ers-s21",)
    assert ers.figure("availability_full", date(2026, 7, 1)) == 0.95
    assert any(u.startswith("ercot.ers.event_power: ") for u in setup.unverified)
    again = setup_from_document(setup.document)
    assert again.book == setup.book
    assert not any("ercot.ers" in u or "ercot.set_point" in u for u in load_site_file(written(tmp_path, APPENDIX_A)).unverified)


def test_one_megawatt_is_not_promised_twice(tmp_path: Path) -> None:
    services = NOT_BUILT[NOT_BUILT.index('[[obligations]]\ntype = "ancillary"') :].replace('meter = "ers"', 'meter = "clr"')
    (wrong,) = faults_of(tmp_path, APPENDIX_A + services + OWN_METERS)
    assert wrong.startswith("obligations.ers.scope: shares clr-s21 with 'ancillary': a MW may not be ERS and ancillary service")
    again = services.replace('type = "ers"', 'type = "ancillary"\nname = "more"')
    again = again[: again.index('product = "ERS-30"')] + 'products = ["RRS"]\n'
    (wrong,) = faults_of(tmp_path, APPENDIX_A + again + OWN_METERS)
    assert "a MW is sold once" in wrong
    one = services[: services.index("[[obligations]]", 5)]
    elsewhere = (APPENDIX_A + one + OWN_METERS).replace('market = "ercot"  ', 'market = "miso"  ')
    assert "obligations.ancillary: 'ancillary' is a service of ERCOT; the site is in miso" in faults_of(tmp_path, elsewhere)


def test_a_service_of_more_than_its_rigs_draw_is_noted(tmp_path: Path) -> None:
    ers = NOT_BUILT[NOT_BUILT.rindex("[[obligations]]") :]
    for mw, noted in ((10.0, False), (120.0, True)):
        text = APPENDIX_A + OWN_METERS + ers.replace("mw = 10.0", f"mw = {mw}")
        notes = check_site_file(written(tmp_path, text)).summary["notes"]
        assert any(note.startswith(f"'ers' promises {mw:.3f} MW; its rigs draw ") for note in notes) is noted, notes


SEASON = 'season = { name = "summer", months = [6, 7, 8, 9], hours = [13, 14, 15, 16, 17, 18], weekdays = true }'


def test_programmes_of_utility_and_state_exclude_others(tmp_path: Path) -> None:
    ers = NOT_BUILT[NOT_BUILT.rindex("[[obligations]]") :]
    managed = (
        f'[[obligations]]\ntype = "load_management"\nscope = {{ meter = "ers" }}\nprogram = "tdu"\nmw = 2.0\nusd_per_kw = 30.0\n{SEASON}\n'
    )
    assert load_site_file(written(tmp_path, APPENDIX_A + OWN_METERS + managed)).book[-3].type == "load_management"
    (wrong,) = faults_of(tmp_path, APPENDIX_A + ers + OWN_METERS + managed)
    assert wrong.startswith(
        "obligations.load_management.scope: shares ers-s21 with 'ers': a load in a utility's load management may not be in ERS"
    )
    large = managed.replace('"tdu"', '"sb6"')
    wrong = faults_of(tmp_path, APPENDIX_A + ers + OWN_METERS + large)
    assert len(wrong) == 2 and "with 'block'" in wrong[0] and "with 'ers'" in wrong[1], "power sold back follows the price"
    assert all("not open to loads that follow prices or sell another service (SB 6" in text for text in wrong)
    steady = APPENDIX_A.replace('type = "block"', 'type = "block"\nscope = { meter = "main" }')
    assert load_site_file(written(tmp_path, steady + OWN_METERS + large)).book[-3].program == "sb6"


def test_lmr_and_edr_on_the_same_rigs_are_refused_in_one_line(tmp_path: Path) -> None:
    miso = (APPENDIX_A + OWN_METERS).replace('market = "ercot"  ', 'market = "miso"  ')
    lmr = '[[obligations]]\ntype = "lmr"\nscope = { meter = "clr" }\nzone = 6\nmw = 10.0\nfirm_service_mw = 2.0\n'
    edr = '[[obligations]]\ntype = "edr"\nscope = { meter = "METER" }\nmw = 10.0\nbaseline_mw = 14.0\noffer_usd_per_mwh = 300.0\n'
    apart = load_site_file(written(tmp_path, miso + lmr + edr.replace("METER", "ers")))
    assert [o.type for o in apart.book][-4:] == ["lmr", "edr", "plant", "transition"] and any("miso.lmr.rsg" in u for u in apart.unverified)
    (wrong,) = faults_of(tmp_path, miso + lmr + edr.replace("METER", "clr"))
    assert wrong.startswith("obligations.edr.scope: shares clr-s21 with 'lmr': a MW may not be LMR and EDR (MISO Tariff, Module E-1")
    drr = '[[obligations]]\ntype = "drr"\nscope = { meter = "ers" }\nmw = 10.0\nbaseline_mw = 14.0\n'
    (wrong,) = faults_of(tmp_path, miso + drr + edr.replace("METER", "ers"))
    assert wrong.startswith("obligations.edr.scope: shares ers-s21 with 'drr': two contracts are paid for one reduction")
    assert load_site_file(written(tmp_path, miso + drr + edr.replace("METER", "clr"))).book[-3].type == "edr"
    twice = lmr.replace('type = "lmr"', 'type = "lmr"\nname = "again"')
    (wrong,) = faults_of(tmp_path, miso + lmr + twice)
    assert "two contracts register the same rigs as capacity" in wrong
    (wrong,) = faults_of(tmp_path, APPENDIX_A + OWN_METERS + lmr)
    assert wrong == "obligations.lmr: 'lmr' is a service of MISO; the site is in ercot"


def test_appendix_a_is_read_into_its_site(tmp_path: Path) -> None:
    setup = load_site_file(written(tmp_path, APPENDIX_A))
    group = setup.site.group("a-s19jpro")
    assert [(m.name, m.watts, m.ths) for m in group.modes] == [("sleep", 25.0, 0.0), ("normal", 3068.0, 104.0)]
    assert (group.rigs, group.wake_min, group.min_on_min, group.wear_usd_per_start) == (11000, 8.0, 30, 0.05)
    assert setup.site.meter_of["a-s19jpro"].loss_factor == 1.0178
    assert [(o.type, o.name) for o in setup.book] == [(t, t) for t in ("hashing", "power", "block", "plant", "transition")]
    assert setup.book[0].pool_fee == 0.01
    assert setup.book[1].adders_usd_per_mwh == 6.15
    assert setup.book[2].mw == 60.0
    assert setup.prices == sections.GridstatusPrices()
    assert setup.hash == sections.FixedHash(usd_per_ph_day=45.0, pool_fee=0.01)
    assert driver_settings(setup, "a-s19jpro") == SimulatedSettings()
    assert setup.settlement_points == ("LZ_WEST",)


def test_a_tariff_is_read_from_its_own_file(tmp_path: Path) -> None:
    on_tariff = APPENDIX_A.replace('"ercot" ', '"tariff"')
    text = on_tariff.replace('source = "gridstatus"', 'source = "tariff"\nfile = "t.toml"')
    assert faults_of(tmp_path, text) == ["prices.file: t.toml: No such file or directory"]
    (tmp_path / "t.toml").write_text('name = "x"\n[[periods]]\nname = "all"\nusd_per_mwh = 40\n')
    setup = load_site_file(written(tmp_path, text))
    assert setup.prices.source == "tariff" and any(type(o).type == "power" for o in setup.book)
    assert faults_of(tmp_path, text.replace('"tariff"', '"miso"', 1)) == [
        "prices.source: 'tariff' needs market = \"tariff\"; the site is in miso"
    ]
    assert faults_of(tmp_path, on_tariff) == ['prices: a site on a tariff has no market\'s feed: source = "tariff" and its file']


BAD = """
pirces = 1
[site]
name = "x"
market = "ercott"
settlment_point = "LZ"
interconnect_mw = true
control_interval_min = 7
timezone = "America/Chikago"
horizon_h = nan
[[meters]]
id = "m"
settlement_point = "A"
[[halls]]
name = "h"
meter = "mm"
limit_mw = "51"
overhead = { shar = 0.1 }
[[groups]]
name = "g"
hall = "hh"
model = "antminer-s21x"
rigs = 0
driver = { kind = "pyasik" }
[[groups]]
name = "g"
hall = "h"
model = "antminer-s21"
modes = ["normal", "hgih"]
rigs = 10.5
driver = { kind = "pyasic", subnet = "127.0.0.0/29", credentials = "admin:admin" }
[[groups]]
name = "k"
hall = "h"
model = "antminer-s21"
modes = [{ name = "normal", watts = -1 }]
rigs = 100
driver = { kind = "pyasic", subnet = "127.0.0.0/28", roster = "rigs.csv" }
[prices]
source = "archive"
path = "nope"
[hash]
source = "bitcoind"
url = "http://user:word@127.0.0.1:8332"
cookie = "c"
[[obligations]]
type = "blok"
[[obligations]]
type = "block"
usd_per_mwh = "q"
sell_back = { haircut = 0.0 }
from = 2026-01-01T00:00:00
scope = { meeter = "q", hall = "zz" }
[[obligations]]
type = "power"
[[obligations]]
type = "power"
scope = { groups = "k" }
"""
BAD_FAULTS = [
    "pirces: is not a section here; did you mean prices?",
    "site.horizon_h: needs a finite number, not nan",
    "site.timezone: 'America/Chikago' is not a time zone; did you mean America/Chicago?",
    "site.control_interval_min: must divide the hour, not 7",
    "site.market: must be one of 'ercot', 'miso' or 'tariff', not 'ercott'",
    "site.settlement_point: is missing",
    "site.interconnect_mw: needs a number, not true",
    "site.settlment_point: is not a key here; did you mean settlement_point?",
    "halls.h.meter: there is no meter 'mm'; did you mean m?",
    "halls.h.limit_mw: needs a number, not '51'",
    "halls.h.overhead.shar: is not a key here; did you mean share?",
    "groups#1.hall: there is no hall 'hh'; did you mean h?",
    "groups#1.model: 'antminer-s21x' is not in the catalogue; did you mean antminer-s21?; or write each mode with its watts and ths",
    "groups#1.driver.kind: 'pyasik' is not known; did you mean pyasic?",
    "groups#1.rigs: must be at least 1, not 0",
    "groups#2.name: 'g' is used twice",
    "groups#2.driver.subnet: 127.0.0.0/29 has 6 addresses for 10 rigs",
    "groups#2.modes#2: the catalogue has no mode 'hgih' of it; known: normal, sleep",
    "groups#2.driver.credentials: must be file:PATH or env:NAME: secrets stay out of the site file",
    "groups.k.driver.subnet: 127.0.0.0/28 has 14 addresses for 100 rigs",
    "groups.k.driver.subnet: 127.0.0.0/28 overlaps that of group 'g': both would command the same rigs",
    "groups.k.driver.roster: rigs.csv: No such file or directory",
    "groups.k.modes: needs sleep: a group that can never stop is not a flexible load",
    "groups.k.driver: needs one of subnet and roster",
    "groups.k.modes.normal.watts: must be at least 0, not -1",
    "prices.path: there is no folder 'nope'",
    "hash.url: holds a user or a password: secrets stay out of the site file (file:PATH or env:NAME)",
    "obligations.blok.type: 'blok' is not known; did you mean block?",
    "obligations.block.mw: is missing",
    "obligations.block.usd_per_mwh: needs a number, not 'q'",
    "obligations.block.sell_back.haircut: is not a key here; known: cap_mw, haircut_usd_per_mwh",
    "obligations.block.from: has no UTC offset: write Z or +hh:mm at its end",
    "obligations.block.scope.meeter: is not a key here; did you mean meter?",
    "obligations.block.scope.hall: there is no hall 'zz'; known: h",
    "obligations#4.scope.groups: needs a list of names, not 'k'",
    "obligations#4: there is already an obligation named 'power': give this one a name of its own",
]


def test_all_faults_are_reported_at_once_with_their_keys(tmp_path: Path) -> None:
    found = faults_of(tmp_path, BAD.replace("rigs = 10.5", "rigs = 10"))
    assert sorted(found) == sorted(set(found)), "a fault is said once"
    missing = [f for f in BAD_FAULTS if f not in found]
    assert not missing, found
    assert [f for f in found if f not in BAD_FAULTS] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sites_load_and_their_document_makes_the_same_setup(name: str) -> None:
    setup = load_site_file(default_file(name))
    again = setup_from_document(setup.document)
    assert again.hash_id == setup.hash_id
    assert again.document == setup.document
    assert (again.site, again.book, again.prices, again.hash, again.api) == (setup.site, setup.book, setup.prices, setup.hash, setup.api)
    assert canonical_json(setup.document)  # goes into the journal as it is


def test_the_demonstration_is_about_a_megawatt_moved_by_pyasic() -> None:
    setup = load_site_file(default_file(DEMO_SITE))
    summary = check_site_file(default_file(DEMO_SITE)).summary
    assert summary["rigs"] >= 240 and 0.8 <= summary["full_load_mw"] <= 1.1
    assert {g.model for g in setup.site.groups} == {"whatsminer-m50s", "whatsminer-m60s", "whatsminer-m60s++"}
    for group in setup.site.groups:
        assert group.min_on_min <= 15 and group.min_off_min <= 15
        driver = driver_settings(setup, group.name)
        if group.rigs > 1:
            assert isinstance(driver, PyasicSettings) and driver.subnet.startswith("127.")
        else:
            assert isinstance(driver, CpuMinerSettings) and driver.host.startswith("127.")  # the one that hashes for real
    assert "synthetic" in " ".join(summary["notes"])


@pytest.mark.parametrize("name", ("ercot-site.toml", "miso-site.toml"))
def test_the_hundred_megawatt_sites_have_three_models_in_equal_parts(name: str) -> None:
    setup = load_site_file(default_file(name))
    draw_mw = [g.rigs * g.full.watts / 1e6 for g in setup.site.groups]
    assert [g.model for g in setup.site.groups] == ["antminer-s19j-pro", "antminer-s19-xp", "antminer-s21"]
    assert all(abs(mw - sum(draw_mw) / 3) < 0.05 for mw in draw_mw)
    assert abs(check_site_file(setup.path).summary["full_load_mw"] - 100) < 0.5


def test_the_site_file_wins_over_the_rig_catalogue(tmp_path: Path) -> None:
    modes = 'modes = ["normal", { name = "low", watts = 2000, ths = 80 }, "sleep"]\nstandby_watts = 9.5\nwake_min = 3'
    setup = load_site_file(written(tmp_path, APPENDIX_A.replace('modes = ["sleep", "normal"]', modes)))
    group = setup.site.groups[0]
    assert [(m.name, m.watts, m.ths) for m in group.modes] == [("sleep", 9.5, 0.0), ("low", 2000.0, 80.0), ("normal", 3068.0, 104.0)]
    assert group.wake_min == 3


def test_missing_figures_of_a_mode_come_from_the_catalogue(tmp_path: Path) -> None:
    text = APPENDIX_A.replace('modes = ["sleep", "normal"]', 'modes = ["sleep", { name = "normal", watts = 3150 }]')
    full = load_site_file(written(tmp_path, text)).site.groups[0].full
    assert (full.watts, full.ths) == (3150, 104.0)


def test_a_rig_outside_the_catalogue_writes_its_modes(tmp_path: Path) -> None:
    own = 'modes = [{ name = "sleep", watts = 20, ths = 0 }, { name = "normal", watts = 3000, ths = 150 }]'
    text = APPENDIX_A.replace('model = "antminer-s19j-pro"', 'model = "homemade"').replace('modes = ["sleep", "normal"]', own)
    assert load_site_file(written(tmp_path, text)).site.groups[0].full.ths == 150


def test_hashing_power_plant_and_transition_are_always_there_once(tmp_path: Path) -> None:
    bare = APPENDIX_A[: APPENDIX_A.index("[[obligations]]")]
    assert [o.type for o in load_site_file(written(tmp_path, bare)).book] == ["hashing", "power", "plant", "transition"]
    own = bare + '[[obligations]]\ntype = "plant"\n[[obligations]]\ntype = "hashing"\nname = "pool"\n'
    setup = load_site_file(written(tmp_path, own))
    assert [o.type for o in setup.book] == ["power", "plant", "hashing", "transition"]
    assert [o.name for o in setup.book] == ["power", "plant", "pool", "transition"]
    assert setup.book[2].pool_fee == 0.01, "the pool's fee is the hash section's unless it says its own"


def test_two_blocks_need_two_names(tmp_path: Path) -> None:
    block = '[[obligations]]\ntype = "block"\nmw = 1\nusd_per_mwh = 30\n'
    assert faults_of(tmp_path, APPENDIX_A + block) == [
        "obligations#3: there is already an obligation named 'block': give this one a name of its own"
    ]
    assert len(load_site_file(written(tmp_path, APPENDIX_A + block + 'name = "second"\n')).book) == 6


def test_an_override_replaces_a_section_and_is_checked(tmp_path: Path) -> None:
    path = written(tmp_path, APPENDIX_A)
    setup = load_site_file(path, {"prices": {"source": "synthetic", "seed": 7}})
    assert setup.prices == sections.SyntheticPrices(seed=7)
    assert setup.document["prices"] == {"source": "synthetic", "seed": 7, "dispatch_runs": True}
    assert setup.hash_id != load_site_file(path).hash_id
    with pytest.raises(ConfigError, match="there is no folder 'gone'"):
        load_site_file(path, {"prices": {"source": "archive", "path": "gone"}})


def test_paths_are_relative_to_the_site_file(tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    text = APPENDIX_A.replace('source = "gridstatus"', 'source = "archive"\npath = "facts"')
    setup = load_site_file(written(tmp_path, text))
    assert isinstance(setup.prices, sections.ArchivePrices) and setup.resolve(setup.prices.path) == tmp_path / "facts"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("ip\n127.0.0.1\n127.0.0.2\n", None),
        ("address\n127.0.0.1\n", 'rigs.csv: has no column "ip" in its first line'),
        ("ip\n127.0.0.1\nhere\n", "rigs.csv: line 3: 'here' is not an IPv4 address"),
        ("ip\n127.0.0.1\n127.0.0.1\n", "rigs.csv: line 3: 127.0.0.1 is listed twice: line 2 has it too"),
        ("ip\n127.0.0.1\n", "rigs.csv names 1 rigs, the group has 2"),
    ],
)
def test_rosters(tmp_path: Path, rows: str, says: str | None) -> None:
    (tmp_path / "rigs.csv").write_text(rows)
    text = APPENDIX_A.replace("rigs = 11000", "rigs = 2").replace('kind = "simulated"', 'kind = "pyasic", roster = "rigs.csv"')
    if says is None:
        assert driver_settings(load_site_file(written(tmp_path, text)), "a-s19jpro").roster == "rigs.csv"
    else:
        assert faults_of(tmp_path, text) == [f"groups.a-s19jpro.driver.roster: {says}"]


def test_files_that_are_not_site_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_site_file(tmp_path / "none.toml")
    assert "(at line 2, column 8)" in faults_of(tmp_path, "[site]\nname = nobody")[0]
    (tmp_path / "site.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_site_file(tmp_path / "site.toml")
    empty = faults_of(tmp_path, "")
    assert empty == ["site: is missing", "hash: is missing"]


def test_check_gives_faults_or_a_summary_with_what_is_unverified(tmp_path: Path) -> None:
    good = check_site_file(written(tmp_path, APPENDIX_A))
    assert not good.faults
    assert good.summary["rigs"] == 11000
    assert good.summary["notes"] == ["meter 'main' settles at LZ_WEST; metered load in ERCOT settles at LZ_WEST_EW"]
    assert any(u.startswith("antminer-s19j-pro: standby_watts, wake_min assumed") for u in good.summary["unverified"])
    bad = check_site_file(written(tmp_path, APPENDIX_A + NOT_BUILT))
    assert len(bad.faults) == 2 and not bad.summary


def test_every_entry_point_loads_its_class() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    sources = (plugins.SOURCES, plugins.HASHPRICES, plugins.GENERATION, plugins.WEATHER)
    assert {*declared} == {
        *sources,
        plugins.OBLIGATIONS,
        plugins.DRIVERS,
        plugins.METERS,
        plugins.COOLING,
        plugins.GENERATORS,
        plugins.LINKS,
    }
    kinds = ((group, "kind") for group in (plugins.DRIVERS, plugins.METERS, plugins.COOLING, plugins.GENERATORS))
    for group, key in (*((source, "source") for source in sources), *kinds):
        offered = plugins.installed(group)
        assert {*declared[group]} <= {*offered}
        assert all(offered[word].model_fields[key].default == word for word in declared[group])
    for word in declared[plugins.OBLIGATIONS]:
        assert plugins.installed(plugins.OBLIGATIONS)[word].type == word


WORDS = st.sampled_from(["a", "main", "a-s19jpro", "ercot", "LZ_WEST", "simulated", "fixed", "power", "block", "", "sleep", "127.0.0.0/8"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 20000),
    st.floats(allow_nan=True, allow_infinity=True),
    WORDS,
    st.builds(list),  # a new one each time: the test writes into what is drawn
    st.builds(dict),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2), max_leaves=4)


def places(value: object, at: tuple = ()) -> list[tuple]:
    """Every key and item of a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for k, v in inside for p in ((*at, k), *places(v, (*at, k)))]


GOOD = tomllib.loads(APPENDIX_A)


@hypothesis_settings(max_examples=150)
@given(data=st.data())
def test_any_document_gives_a_setup_or_named_faults(data: st.DataObject) -> None:
    document = tomllib.loads(APPENDIX_A)
    for at in data.draw(st.lists(st.sampled_from(places(GOOD)), min_size=1, max_size=3)):
        holder = document
        for part in at[:-1]:
            try:
                holder = holder[part]
            except (KeyError, IndexError, TypeError):
                holder = None
                break
        try:
            holder[at[-1]] = data.draw(VALUES)  # type: ignore[index]
        except (TypeError, IndexError):
            continue
    plain, _ = to_json_values(document)
    try:
        setup = setup_from_document(plain)
    except ConfigError as error:
        assert error.faults and all(f.startswith("(journal): ") for f in error.faults)
    else:
        assert setup_from_document(setup.document).hash_id == setup.hash_id


def test_a_wheel_in_an_empty_folder_has_its_defaults(tmp_path: Path) -> None:
    """The wheel carries config/ as dispatch/defaults; the same look-up finds it there."""
    inside = tmp_path / "site-packages"
    for package in ("markets", "optimizer", "dispatch"):
        (inside / package).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", str(ROOT / package), str(inside / package)], check=True)
    subprocess.run(["cp", "-r", str(ROOT / "config"), str(inside / "dispatch" / "defaults")], check=True)
    code = (
        "from dispatch.site_file.load import load_site_file; from dispatch.site_file.defaults import DEMO_SITE, default_file; "
        "s = load_site_file(default_file(DEMO_SITE)); print(s.path, s.hash_id)"
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(inside)}
    said = subprocess.run([sys.executable, "-c", code], cwd=empty, env=environment, capture_output=True, text=True, check=True)
    path, hash_id = said.stdout.split()
    assert Path(path).parent == inside / "dispatch" / "defaults"
    assert hash_id == load_site_file(default_file(DEMO_SITE)).hash_id
