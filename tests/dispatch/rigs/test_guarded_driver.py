"""A driver that cannot be opened, or raises, leaves its rigs unreachable until it works again; check names those that cannot start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dispatch import ConfigError
from dispatch.rigs import Ability, Readings, Sent
from dispatch.rigs.guarded_driver import GuardedDriver
from dispatch.rigs.site_checks import start_faults
from dispatch.rigs.wire import NOT_DRIVEN
from dispatch.site_file.load import setup_from_document
from tests.sites import document


class Flaky:
    abilities = frozenset({Ability.READ, Ability.SLEEP})

    def __init__(self) -> None:
        self.broken = False

    async def read(self, rigs: Any, deadline_s: float) -> Readings:
        if self.broken:
            raise RuntimeError("the line is dead")
        return Readings(np.array(rigs), np.full(len(rigs), 3000.0), np.full(len(rigs), 100.0), np.zeros(len(rigs)))

    async def set_mode(self, rigs: Any, mode: str, deadline_s: float) -> Sent:
        if self.broken:
            raise RuntimeError("the line is dead")
        return Sent(sent=tuple(rigs))

    async def close(self) -> None:
        self.broken = True


async def test_a_driver_that_raises_leaves_its_rigs_unreachable_until_it_works_again() -> None:
    inner = Flaky()
    driver = GuardedDriver("a", lambda: inner, lambda: 7.0)
    assert driver.abilities == inner.abilities
    inner.broken = True
    silent = await driver.read([0, 1], 1.0)
    assert np.isnan(silent.watts).all() and np.isnan(silent.ths).all() and silent.at.tolist() == [7.0, 7.0]
    assert await driver.set_mode([0, 1], "sleep", 1.0) == Sent(unreachable=(0, 1))
    inner.broken = False
    assert (await driver.read([0, 1], 1.0)).watts.tolist() == [3000.0, 3000.0]
    assert await driver.set_mode([1], "sleep", 1.0) == Sent(sent=(1,))


async def test_a_driver_that_cannot_be_opened_is_opened_later() -> None:
    found: list[Flaky] = []

    def reach() -> Flaky:
        if not found:
            raise OSError("no such roster")
        return found[0]

    driver = GuardedDriver("a", reach, lambda: 0.0)
    assert np.isnan((await driver.read([0], 1.0)).watts).all()
    await driver.close()
    found.append(Flaky())
    assert (await driver.read([0], 1.0)).watts.tolist() == [3000.0]


def test_check_names_credentials_that_are_not_there(tmp_path: Any) -> None:
    driver = {"kind": "pyasic", "subnet": "127.20.0.0/24", "credentials": "file:rigs.secret"}
    written = {"groups": [{"name": "a", "model": "antminer-s21", "rigs": 2, "driver": driver}]}
    assert [f.where for f in start_faults(written, tmp_path)] == [("groups", 0, "driver", "credentials")]
    (tmp_path / "rigs.secret").write_text("secret")
    assert list(start_faults(written, tmp_path)) == [] and list(start_faults(written, None)) == []


@pytest.mark.parametrize("dialect", list(NOT_DRIVEN))
def test_firmware_that_is_not_driven_is_refused_by_name(dialect: str) -> None:
    written = document()
    written["groups"][0]["driver"] = {"kind": "pyasic", "subnet": "10.20.0.0/24", "dialect": dialect}
    with pytest.raises(ConfigError) as error:
        setup_from_document(written)
    assert any("groups.a-old.driver.dialect" in text and "is not driven:" in text for text in error.value.faults), error.value.faults
