"""What rigs say they are: kept with its changes, an alert when one maker's firmware changes on many, and the exposure report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispatch.cli import app
from dispatch.clock import VirtualClock, WallClock
from dispatch.evidence.exposure_report import exposure_document
from dispatch.rigs.denied_firmware import DeniedFirmware, denial, read_denied_firmware
from dispatch.rigs.rig_identities import CHANGED, DENIED, FILE, RigIdentities, kept_identities
from dispatch.rigs.wire.identity import RigIdentity
from dispatch.site_file.defaults import DEMO_SITE, default_file
from optimizer.domain.site import Site
from tests.dispatch.rigs.fakes import START, site

BAD = DeniedFirmware("MicroBT", ("2023*",), "opens a remote shell", date(2026, 5, 1), "the maker's notice", True)


class Named:
    """A driver of rigs that say what they are."""

    def __init__(self, rigs: int, firmware: str) -> None:
        self.identities = {k: RigIdentity(firmware, "M60S", f"SN{k}", f"c0:7e:00:00:00:{k:02x}") for k in range(rigs)}

    async def identify(self, rigs: Sequence[int], deadline_s: float) -> Mapping[int, RigIdentity]:
        return {k: self.identities[k] for k in rigs if k in self.identities}

    def update(self, rigs: Sequence[int], firmware: str) -> None:
        self.identities |= {k: replace(self.identities[k], firmware=firmware) for k in rigs}


def two_groups() -> Site:
    made = site(10, 10)
    return made.model_copy(update={"groups": tuple(g.model_copy(update={"maker": "MicroBT"}) for g in made.groups)})


def following(path: Path | None = None, *denied: DeniedFirmware) -> tuple[RigIdentities, dict[str, Named], VirtualClock]:
    clock, drivers = VirtualClock(START), {"g0": Named(10, "20240101"), "g1": Named(10, "20240101")}
    return RigIdentities(two_groups(), drivers, clock, denied, path), drivers, clock  # type: ignore[arg-type]


async def test_a_change_of_firmware_on_more_than_a_few_rigs_of_one_maker_is_an_alert_for_a_day() -> None:
    identities, drivers, clock = following()
    await identities.refresh()
    assert not identities.alerts(clock.now())
    drivers["g0"].update([0, 1], "20250202")
    drivers["g1"].update([5], "20250202")
    await identities.refresh()
    assert not identities.alerts(clock.now())  # three are few
    drivers["g1"].update([6], "20250202")
    await identities.refresh()
    said = identities.alerts(clock.now())[CHANGED]
    assert said == "the firmware of 4 rigs of MicroBT changed within 24 h, to 20250202"
    assert not identities.alerts(clock.now() + timedelta(hours=24))


async def test_a_rig_that_was_replaced_did_not_change_its_firmware() -> None:
    identities, drivers, clock = following()
    await identities.refresh()
    drivers["g0"].identities |= {k: RigIdentity("20250202", "M60S", f"NEW{k}", f"c0:7e:00:00:01:{k:02x}") for k in range(10)}
    await identities.refresh()
    assert not identities.alerts(clock.now()) and identities.known["g0", 3].identity.serial == "NEW3"


async def test_identities_and_their_changes_are_kept_and_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / FILE
    identities, drivers, clock = following(path)
    await identities.refresh()
    await identities.refresh()
    assert len(path.read_text().splitlines()) == 20  # nothing new, nothing written
    drivers["g0"].update(range(10), "20250202")
    await identities.refresh()
    with path.open("a") as file:
        file.write('{"at": "2026-')  # a kill in the middle of a line
    again, _, _ = following(path)
    assert again.known == identities.known and again.alerts(clock.now()) == identities.alerts(clock.now()) != {}


@pytest.mark.parametrize(("speed", "rounds"), [(60.0, 1), (1e6, 1)])
async def test_rigs_are_not_asked_more_often_than_a_network_sustains(speed: float, rounds: int, tmp_path: Path) -> None:
    """A disk that cannot be written ends nothing either."""
    asked: list[int] = []

    class Counting(Named):
        async def identify(self, rigs: Sequence[int], deadline_s: float) -> Mapping[int, RigIdentity]:
            asked.append(len(rigs))
            return await super().identify(rigs, deadline_s)

    identities = RigIdentities(two_groups(), {"g0": Counting(10, "1")}, WallClock(START, speed), (), tmp_path / "missing" / FILE)  # type: ignore[dict-item]
    following = asyncio.create_task(identities.follow())
    await asyncio.sleep(0.3)
    assert not following.done() and len(asked) == rounds
    following.cancel()


async def test_denied_firmware_is_an_alert() -> None:
    identities, drivers, clock = following(None, BAD)
    drivers["g1"].update([2], "20230803.11.REL")
    await identities.refresh()
    assert identities.alerts(clock.now()) == {
        DENIED: "1 rig of MicroBT with firmware that opens a remote shell (published 2026-05-01; the maker's notice)"
    }


def test_the_shipped_list_of_denied_firmware_is_dated_and_names_its_sources() -> None:
    denied = read_denied_firmware(default_file("firmware.toml"))
    assert denied and all(entry.source and entry.reason and entry.since for entry in denied)
    assert denial(denied, "Bitmain", "Fri Nov 17 17:37:49 CST 2016") and not denial(denied, "Bitmain", "Thu Oct  9 18:55:45 CST 2025")


def test_an_incomplete_entry_of_denied_firmware_is_refused(tmp_path: Path) -> None:
    (tmp_path / "firmware.toml").write_text(
        '[[denied]]\nmaker = "MicroBT"\nfirmware = ["*"]\nreason = "x"\nsource = "y"\nverified = true\n'
    )
    with pytest.raises(ValueError, match="since"):
        read_denied_firmware(tmp_path / "firmware.toml")


async def test_the_exposure_report_goes_by_what_the_rigs_report() -> None:
    identities, drivers, _ = following()
    drivers["g1"].update([0], "20230803")
    del drivers["g1"].identities[9]
    await identities.refresh()
    report = exposure_document(two_groups(), identities.known, (BAD,), START)
    assert (report["rigs"], report["identified"], report["with_serial"], report["with_mac"], report["signed"]) == (20, 19, 19, 19, False)
    rows = {row["firmware"]: row for row in report["firmware"]}
    assert {firmware: row["rigs"] for firmware, row in rows.items()} == {"20240101": 18, "20230803": 1, None: 1}
    assert rows["20230803"]["denied"] == "opens a remote shell (published 2026-05-01)" and rows["20240101"]["denied"] is None
    assert (
        sum(row["full_mw"] for row in report["firmware"]) == pytest.approx(report["full_mw"]) == pytest.approx(report["largest_maker_mw"])
    )


def test_exposure_from_the_command_line(tmp_path: Path) -> None:
    row = {
        "at": "2026-07-01T00:00:00Z",
        "group": "a-m60s",
        "rig": 0,
        "firmware": "F1",
        "model": "M60S",
        "serial": "S",
        "mac": "",
        "before": "",
    }
    (tmp_path / FILE).write_text(json.dumps(row) + "\n")
    assert [key for key, _ in kept_identities(tmp_path / FILE)] == [("a-m60s", 0)]
    asked = ["rigs", "exposure", "--config", str(default_file(DEMO_SITE)), "--data", str(tmp_path)]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert done.exit_code == 0 and json.loads(done.output)["identified"] == 1
    assert "1 identified" in CliRunner().invoke(app, asked).output
