"""A site with rigs of six makes: a deployed call and its recall reach every rig in the protocol of its make."""

from __future__ import annotations

import json
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.wire import Dialect
from dispatch.site_file.defaults import default_file
from dispatch.site_file.load import check_site_file, load_site_file
from tests.dispatch.rigs.makes import need_ports
from tests.e2e.site import run_json, running_site
from tests.e2e.test_simulated_day import post_call

FILE = default_file("six-makes.toml")
RIGS = 3
NIGHT = "2026-08-20T06:00:00Z"  # one in the morning in Texas: power is so cheap that every rig wakes into its highest mode


def site_file_with_few_rigs(folder: Path) -> Path:
    """The shipped site file with a few rigs per group, at addresses of their own."""
    text = re.sub(r"^rigs = \d+", f"rigs = {RIGS}", FILE.read_text("utf-8"), flags=re.M).replace('"127.19.', '"127.37.')
    path = folder / "few.toml"
    path.write_text(text)
    return path


def test_six_makes_file_is_valid_and_about_one_megawatt() -> None:
    setup = load_site_file(FILE)
    found = check_site_file(FILE)
    assert found.faults == () and 0.9 <= found.summary["full_load_mw"] <= 1.1
    groups = tomllib.loads(FILE.read_text("utf-8"))["groups"]
    assert len({(g["model"].split("-")[0], g["driver"].get("dialect")) for g in groups}) == 6
    assert {driver_settings(setup, g.name).kind for g in setup.site.groups} == {"pyasic"}


def effective_commands_by_group(data: Path) -> dict[str, list[str]]:
    """The commands that changed a rig's mode, by group, in their order."""
    out: dict[str, list[str]] = defaultdict(list)
    for line in (data / "rigs.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["effective"]:
            out[row["rig"].split(".")[2]].append(row["verb"])
    return out


@pytest.mark.slow(sample=True)
def test_rigs_of_six_makes_sleep_on_a_deployed_call_and_wake_on_its_recall(tmp_path: Path) -> None:
    need_ports(Dialect.ANTMINER)
    data = tmp_path / "data"
    secret = run_json("keys", "add", "qse", "--scope", "dispatch", "--data", data)["secret"]
    with running_site(data, "--config", str(site_file_with_few_rigs(tmp_path)), "--from", NIGHT, "--speed", "180") as site:
        full = 6 * RIGS
        site.wait("all rigs hash", lambda: rigs_hashing(site.get("fleet")) == full, 120)

        post_call(site, secret, "deploy", mw_cap=0.0005)
        site.wait("all rigs sleep", lambda: rigs_asleep(site.get("fleet")) == full, 90)
        post_call(site, secret, "recall")
        site.wait("all rigs hash again", lambda: rigs_hashing(site.get("fleet")) == full, 120)
    verbs = effective_commands_by_group(data)
    assert {verbs[k][0] for k in verbs} == {
        "power_on", "set.miner.service start", "set_miner_conf normal", "curtail wakeup", "softon", "mode sleep off",
    }  # fmt: skip
    stops = {"power_off", "set.miner.service stop", "set_miner_conf sleep", "curtail sleep", "softoff", "mode sleep on"}
    assert {verb for k in verbs for verb in verbs[k]} >= stops
    assert run_json("verify", data)["findings"] == []


def rigs_hashing(fleet: dict) -> int:
    return sum(n for group in fleet["groups"].values() for mode, n in group["modes"].items() if mode not in ("sleep", "waking"))


def rigs_asleep(fleet: dict) -> int:
    return sum(group["modes"].get("sleep", 0) for group in fleet["groups"].values())
