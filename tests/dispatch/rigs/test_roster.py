"""Maps of a site and secrets by reference: what they hold, what is wrong in them, and that no secret is ever said."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from dispatch import ConfigError
from dispatch.cli import app
from dispatch.clock import VirtualClock
from dispatch.commands import Ended
from dispatch.entries import RunStarted, canonical_json, entry_to_json
from dispatch.rigs.asics import scan
from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.roster import roster
from dispatch.rigs.secrets import new_key, sealed, secret
from dispatch.service.replay import run_started
from dispatch.site_file.field_types import rig_network
from dispatch.site_file.load import load_site_file
from tests.dispatch.rigs.fakes import START
from tests.sites import document

MAP = """ip,group,hall,model,rack,serial
10.20.0.11,a-old,a,whatsminer-m50s,A1,YN1
10.20.0.12,b-new,b,whatsminer-m50s,B1,YN2
10.20.0.13,a-old,a,whatsminer-m50s,A1,YN3
"""
SECRET = "correct horse battery staple"


def site_file(tmp_path: Path, table: str, **rigs: int) -> Path:
    (tmp_path / "map.csv").write_text(table)
    (tmp_path / "pw").write_text(SECRET)
    written = document()
    for group in written["groups"]:
        group["rigs"] = rigs.get(group["name"].replace("-", "_"), 1)
        group["driver"] = {"kind": "pyasic", "roster": "map.csv", "credentials": "file:pw"}
    path = tmp_path / "site.toml"
    path.write_text(_toml(written))
    return path


def _toml(written: dict[str, Any]) -> str:
    lines = []
    for name, value in written.items():
        for table in value if isinstance(value, list) else [value]:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {_value(item)}" for key, item in table.items()]
    return "\n".join(lines) + "\n"


def _value(item: Any) -> str:
    if isinstance(item, dict):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in item.items()) + " }"
    return "[" + ", ".join(map(_value, item)) + "]" if isinstance(item, list) else json.dumps(item)


def test_one_map_serves_every_group_its_own_rigs_in_order(tmp_path: Path) -> None:
    setup = load_site_file(site_file(tmp_path, MAP, a_old=2))
    assert roster(tmp_path / "map.csv", "a-old") == ("10.20.0.11", "10.20.0.13")
    assert [driver_settings(setup, g.name).addresses(setup, g) for g in setup.site.groups] == [  # type: ignore[attr-defined]
        ("10.20.0.11", "10.20.0.13"),
        ("10.20.0.12",),
    ]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (MAP, "map.csv names 2 rigs, the group has 1"),
        (MAP.replace("10.20.0.13,a-old,a", "10.20.0.13,a-old,b").replace(",b-new", ",a-old2"), "line 4: hall 'b', the group says 'a'"),
        (MAP.replace("whatsminer-m50s,B1", "antminer-s21,B1"), "line 3: model 'antminer-s21', the group says 'whatsminer-m50s'"),
        (MAP.replace("10.20.0.13", "10.20.0.11"), "line 4: 10.20.0.11 is listed twice"),
        (MAP.replace("10.20.0.13", "10.20.0"), "line 4: '10.20.0' is not an IPv4 address"),
        (MAP.replace("ip,", "address,"), 'has no column "ip" in its first line'),
        ("ip\n10.20.0.11\n", "10.20.0.11 is in group 'a-old' too: both would command it"),
    ],
)
def test_faults_of_a_map_are_reported_with_their_line(tmp_path: Path, table: str, fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_site_file(site_file(tmp_path, table))
    assert any(fault in said for said in error.value.faults), error.value.faults


def test_every_fault_of_a_map_is_reported_at_once(tmp_path: Path) -> None:
    table = "ip,group\n10.20.0.11,a-old\nnonsense,a-old\n,b-new\n8.8.8.8,b-new\n169.254.1.1,a-old\n10.20.0.11,b-new\n"
    with pytest.raises(ConfigError) as error:
        load_site_file(site_file(tmp_path, table))
    said = [fault for fault in error.value.faults if "map.csv" in fault]
    assert len(said) == 5
    for line, fault in (
        (3, "'nonsense' is not"),
        (4, "no ip"),
        (5, "8.8.8.8 is public"),
        (6, "169.254.1.1 is link-local"),
        (7, "listed twice"),
    ):
        assert any(f"line {line}: " in text and fault in text for text in said)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["ip", "IP", " Ip "])
def test_a_map_is_read_with_any_separator_and_capitals_in_its_first_line(tmp_path: Path, separator: str, name: str) -> None:
    table = MAP.replace("ip,group", f"{name},Group").replace(",", separator)
    (tmp_path / "map.csv").write_text("\ufeff" + table + separator * 3 + "\n", encoding="utf-8")
    assert roster(tmp_path / "map.csv", "a-old") == ("10.20.0.11", "10.20.0.13")


@pytest.mark.parametrize(
    ("subnet", "fault"),
    [
        ("8.8.8.0/24", "is public"), ("169.254.0.0/16", "is link-local"), ("10.0.0.0/8", "is wider than /16"),
        ("224.0.1.0/24", "private subnets"),
        ("172.32.0.0/16", "is public"), ("192.0.2.0/24", "is reserved"), ("0.0.0.0/0", "is wider"), ("192.168.0.0/15", "is wider"),
    ],
)  # fmt: skip
def test_rigs_are_not_looked_for_beyond_the_site(tmp_path: Path, subnet: str, fault: str) -> None:
    """Passwords that rigs are delivered with would be sent there."""
    written = document()
    written["groups"][0]["driver"] = {"kind": "pyasic", "subnet": subnet}
    (tmp_path / "site.toml").write_text(_toml(written))
    with pytest.raises(ConfigError) as error:
        load_site_file(tmp_path / "site.toml")
    assert any(fault in text and "groups.a-old.driver.subnet" in text for text in error.value.faults), error.value.faults
    with pytest.raises(ValueError, match=fault):
        asyncio.run(scan(subnet))
    done = CliRunner().invoke(app, ["rigs", "scan", subnet])
    assert isinstance(done.exception, Ended) and fault in str(done.exception)


@pytest.mark.parametrize("subnet", ["10.20.0.0/16", "172.31.0.0/16", "192.168.7.0/24", "100.64.3.0/24", "127.20.1.0/24"])
def test_private_subnets_are_the_sites_own(subnet: str) -> None:
    assert str(rig_network(subnet)) == subnet


def test_a_secret_that_every_user_can_read_is_warned_of(tmp_path: Path) -> None:
    path = site_file(tmp_path, MAP, a_old=2)
    for mode, warned in ((0o644, True), (0o600, False)):
        (tmp_path / "pw").chmod(mode)
        done = CliRunner().invoke(app, ["check", str(path)])
        assert done.exit_code == 0 and ("pw can be read by every user" in done.output.replace("\n", " ")) is warned
        with structlog.testing.capture_logs() as logs:
            assert secret("file:pw", lambda name: tmp_path / name) == SECRET
        assert bool(logs) is warned and SECRET not in repr(logs)


def test_a_sealed_secret_opens_with_the_sites_key_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADSTONE_KEY", new_key())
    (tmp_path / "pw").write_text(sealed(SECRET) + "\n")
    assert SECRET not in (tmp_path / "pw").read_text()
    assert secret("file:pw", lambda name: tmp_path / name) == SECRET
    for key, said in ((new_key(), "does not open"), ("nonsense", "is not one"), ("", "needs the site's key")):
        monkeypatch.setenv("LOADSTONE_KEY", key)
        with pytest.raises(ValueError, match=said) as error:
            secret("file:pw", lambda name: tmp_path / name)
        assert SECRET not in str(error.value)


def test_the_key_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(new_key())
    monkeypatch.delenv("LOADSTONE_KEY", raising=False)
    monkeypatch.setenv("LOADSTONE_KEY_FILE", str(tmp_path / "key"))
    (tmp_path / "pw").write_text(sealed(SECRET))
    assert secret("file:pw", lambda name: tmp_path / name) == SECRET


def test_seal_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = CliRunner()
    key = run.invoke(app, ["keys", "seal", "--new-key"]).stdout.strip()
    monkeypatch.setenv("LOADSTONE_KEY", key)
    done = run.invoke(app, ["keys", "seal", str(tmp_path / "pw")], input=SECRET + "\n")
    assert done.exit_code == 0 and SECRET not in done.output
    assert (tmp_path / "pw").stat().st_mode & 0o077 == 0
    assert secret("file:pw", lambda name: tmp_path / name) == SECRET


async def test_no_secret_is_ever_logged_shown_or_journaled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A driver that holds a secret, asked of rigs that are not there: nothing that is said anywhere holds it."""
    table = MAP.replace("10.20.0.1", "127.42.0.1")
    setup = load_site_file(site_file(tmp_path, table, a_old=2))
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        driver = driver_settings(setup, "a-old").reach(setup, "a-old", VirtualClock(START))
        await driver.set_mode([0, 1], "sleep", 0.5)
        await driver.read([0, 1], 0.5)
        await driver.close()
    started = run_started("live", setup, START, 1)
    said = [caplog.text, repr(logs), repr(driver), repr(setup), repr(vars(driver)), canonical_json(entry_to_json(started)).decode()]
    assert isinstance(started, RunStarted) and not [text for text in said if SECRET in text]
