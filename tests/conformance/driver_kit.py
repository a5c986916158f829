"""What every driver of rigs must hold, built in or plugged in. Run each law of LAWS on a fresh `Bench`.

@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
async def test_my_driver(law):
    async with my_bench() as bench:
        await law(bench)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from dispatch.clock import wall_s
from dispatch.rigs import Ability, Driver, Readings, Sent
from optimizer.domain.site import RigGroup

DEADLINE_S = 1.5


@dataclass(frozen=True, slots=True)
class Bench:
    """A driver with rigs to try it on: `healthy` ones in normal mode, and `silent` ones that never answer (at least one, none for a driver
    that cannot have any). `later` lets so many seconds of the rigs' own time pass."""

    driver: Driver
    group: RigGroup
    healthy: tuple[int, ...]
    silent: tuple[int, ...]
    later: Callable[[float], Awaitable[None]]

    @property
    def everyone(self) -> list[int]:
        return sorted((*self.healthy, *self.silent))


def _answered(sent: Sent) -> list[int]:
    return sorted((*sent.sent, *sent.refused, *sent.unsupported, *sent.unreachable))


def _rows_of(readings: Readings, rigs: tuple[int, ...]) -> np.ndarray:
    return np.isin(readings.rigs, rigs)


async def it_declares_its_abilities(bench: Bench) -> None:
    assert {Ability.READ, Ability.SLEEP, Ability.WAKE} <= bench.driver.abilities


async def a_reading_has_every_rig_once_in_the_order_asked(bench: Bench) -> None:
    for asked in (bench.everyone, bench.everyone[::-1], bench.everyone[:1], []):
        readings = await bench.driver.read(asked, DEADLINE_S)
        assert readings.rigs.tolist() == asked
        assert readings.watts.shape == readings.ths.shape == readings.at.shape == (len(asked),)
        assert np.all(np.isfinite(readings.at))


async def healthy_rigs_read_as_their_mode_and_silent_ones_as_nan(bench: Bench) -> None:
    readings = await bench.driver.read(bench.everyone, DEADLINE_S)
    normal = bench.group.mode("normal")
    healthy, silent = _rows_of(readings, bench.healthy), _rows_of(readings, bench.silent)
    assert np.all(np.abs(readings.watts[healthy] / normal.watts - 1) < 0.06) and np.all(
        np.abs(readings.ths[healthy] / normal.ths - 1) < 0.04
    )
    assert np.all(np.isnan(readings.watts[silent])) and np.all(np.isnan(readings.ths[silent]))


async def a_sleep_command_lowers_the_readings(bench: Bench) -> None:
    sent = await bench.driver.set_mode(bench.everyone, "sleep", DEADLINE_S)
    assert _answered(sent) == bench.everyone
    assert set(sent.sent) >= set(bench.healthy) and not sent.refused and not sent.unsupported
    await bench.later(15.0)
    readings = await bench.driver.read(list(bench.healthy), DEADLINE_S)
    assert np.all(readings.watts < 100) and np.all(readings.ths == 0)


async def a_repeated_sleep_command_changes_nothing(bench: Bench) -> None:
    for _ in range(2):
        assert set((await bench.driver.set_mode(list(bench.healthy), "sleep", DEADLINE_S)).sent) == set(bench.healthy)
    await bench.later(15.0)
    assert np.all((await bench.driver.read(list(bench.healthy), DEADLINE_S)).watts < 100)


async def a_wake_command_raises_the_watts(bench: Bench) -> None:
    await bench.driver.set_mode(list(bench.healthy), "sleep", DEADLINE_S)
    await bench.later(15.0)
    assert set((await bench.driver.set_mode(list(bench.healthy), "normal", DEADLINE_S)).sent) == set(bench.healthy)
    await bench.later(70.0)
    readings = await bench.driver.read(list(bench.healthy), DEADLINE_S)
    assert np.all(readings.watts > 0.9 * bench.group.mode("normal").watts)


async def every_other_mode_of_the_group_can_be_set(bench: Bench) -> None:
    for mode in bench.group.awake_modes:
        sent = await bench.driver.set_mode(list(bench.healthy), mode.name, DEADLINE_S)
        if Ability.MODES not in bench.driver.abilities and mode != bench.group.full:
            assert set(sent.unsupported) == set(bench.healthy), mode.name
            continue
        assert set(sent.sent) == set(bench.healthy), mode.name
        await bench.later(75.0)
        readings = await bench.driver.read(list(bench.healthy), DEADLINE_S)
        assert np.all(np.abs(readings.watts / mode.watts - 1) < 0.06), mode.name


async def a_command_to_one_rig_leaves_the_others_alone(bench: Bench) -> None:
    first, *rest = bench.healthy
    await bench.driver.set_mode([first], "sleep", DEADLINE_S)
    await bench.later(15.0)
    assert np.all((await bench.driver.read(rest, DEADLINE_S)).watts > 1000)


async def silent_rigs_delay_an_answer_by_their_deadline_at_most(bench: Bench) -> None:
    began = wall_s()
    readings, sent = await asyncio.gather(bench.driver.read(bench.everyone, 0.5), bench.driver.set_mode(list(bench.silent), "sleep", 0.5))
    assert wall_s() - began < 0.5 * (2 + len(bench.silent)) + 2.0
    assert np.all(np.isfinite(readings.watts[_rows_of(readings, bench.healthy)]))
    assert _answered(sent) == sorted(bench.silent)


async def it_can_be_closed_twice(bench: Bench) -> None:
    await bench.driver.close()
    await bench.driver.close()


LAWS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    it_declares_its_abilities,
    a_reading_has_every_rig_once_in_the_order_asked,
    healthy_rigs_read_as_their_mode_and_silent_ones_as_nan,
    a_sleep_command_lowers_the_readings,
    a_repeated_sleep_command_changes_nothing,
    a_wake_command_raises_the_watts,
    every_other_mode_of_the_group_can_be_set,
    a_command_to_one_rig_leaves_the_others_alone,
    silent_rigs_delay_an_answer_by_their_deadline_at_most,
    it_can_be_closed_twice,
)
