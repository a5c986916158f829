"""Which meters are believed: eight ways to lie, read over Modbus from a simulated meter, beside rigs that answer truly."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dispatch.meters.meter_checks import MeterChecks
from dispatch.meters.modbus import ModbusPower, Register
from dispatch.power_meters import MeterId
from dispatch.sim.meter import MeterBoard, metering
from tests.sites import small

MAIN = MeterId.parse("meter main")
SITE = small().site
FULL = {g.name: g.rigs * g.full.watts / 1e6 for g in SITE.groups}
FULL_MW = sum(FULL.values())
# The rigs run, sleep from the fifth minute and run again from the fifteenth.
SLEEPS_S, WAKES_S, ENDS_S = 300.0, 900.0, 1200.0


def rigs_share(at_s: float) -> float:
    return 0.02 if SLEEPS_S <= at_s < WAKES_S else 1.0


Meter = Callable[[float, float], float]  # the true load, MW, and the instant; what the meter reads
NOISE = random.Random(5)
# What a meter reads, and from when on a lie can be seen; None for a meter that is believed throughout.
METERS: dict[str, tuple[Meter, float | None]] = {
    "true": (lambda mw, at: mw, None),
    "true, beside a base load": (lambda mw, at: mw + 0.1 * FULL_MW, None),
    "noisy by 3 %": (lambda mw, at: mw * (1.0 + NOISE.uniform(-0.03, 0.03)), None),
    "stuck high": (lambda mw, at: FULL_MW, SLEEPS_S),
    "stuck low": (lambda mw, at: 0.1 * FULL_MW, 0.0),
    "stuck from the tenth minute": (lambda mw, at: mw if at < 600 else 0.02 * FULL_MW, WAKES_S),
    "negative": (lambda mw, at: -mw, 0.0),
    "zero": (lambda mw, at: 0.0, 0.0),
    "a tenth": (lambda mw, at: 0.1 * mw, 0.0),
    "ten times": (lambda mw, at: 10.0 * mw, 0.0),
    "late by two minutes": (lambda mw, at: FULL_MW * rigs_share(at - 120.0), SLEEPS_S),
}


def compared(checks: MeterChecks, at_s: float, read_mw: float, silent: float = 0.0, share: float | None = None) -> None:
    share = rigs_share(at_s) if share is None else share
    drawn = {name: share * mw for name, mw in FULL.items()}
    checks.compare(at_s, {MAIN: read_mw}, drawn, {name: silent * mw for name, mw in drawn.items()})


@pytest.mark.parametrize("every_s", [5.0, 30.0])
@pytest.mark.parametrize("name", list(METERS))
async def test_a_meter_that_does_not_follow_its_rigs_is_doubted_within_two_minutes(name: str, every_s: float) -> None:
    reads, wrong_from_s = METERS[name]
    checks, doubted_at, now_s = MeterChecks(SITE, {MAIN: tuple(FULL)}), None, 0.0
    board = MeterBoard({1: lambda: 1e3 * reads(FULL_MW * rigs_share(now_s), now_s)})
    async with metering(board, "127.40.3.1", 5020):
        meter = ModbusPower("127.40.3.1", 5020, 1, Register(0, "float32"), 1e-3)
        while now_s < ENDS_S:
            read_mw = await meter.read_mw(1.0)
            assert read_mw is not None
            compared(checks, now_s, read_mw)
            if checks.doubts and doubted_at is None:
                doubted_at = now_s
            now_s += every_s
        await meter.close()
    if wrong_from_s is None:
        assert doubted_at is None
    else:
        assert doubted_at is not None and wrong_from_s <= doubted_at <= wrong_from_s + 120.0, checks.doubts


@pytest.mark.parametrize("share", [1.0, 0.02], ids=["rigs run", "rigs sleep"])
@pytest.mark.parametrize(("read_mw", "why"), [(-0.1 * FULL_MW, "nothing generates behind it"), (1.4 * FULL_MW, "in full")])
def test_a_meter_that_reads_less_than_nothing_or_more_than_all_is_doubted_at_once(read_mw: float, why: str, share: float) -> None:
    checks = MeterChecks(SITE, {MAIN: tuple(FULL)})
    compared(checks, 0.0, read_mw, share=share)
    assert why in checks.doubts[MAIN]


def test_a_meter_is_believed_again_once_it_follows_and_not_because_it_happens_to_agree() -> None:
    late, stuck, mended = (MeterChecks(SITE, {MAIN: tuple(FULL)}) for _ in range(3))
    seen: dict[str, list[tuple[float, bool]]] = {"late": [], "stuck": [], "mended": []}
    for at_s in range(0, 2400, 10):
        compared(late, at_s, FULL_MW * rigs_share(at_s - 120.0))
        compared(stuck, at_s, FULL_MW)
        compared(mended, at_s, FULL_MW * rigs_share(at_s) * (0.1 if at_s < 600 else 1.0))
        for name, checks in (("late", late), ("stuck", stuck), ("mended", mended)):
            seen[name].append((at_s, bool(checks.doubts)))
    doubted = {name: [at for at, doubt in rows if doubt] for name, rows in seen.items()}
    assert max(at for at in doubted["late"] if at < WAKES_S) < 600, "it has followed"
    assert doubted["stuck"][-1] == 2390, "it agrees with rigs that run, as it would whatever they did"
    assert doubted["mended"][-1] < WAKES_S + 180


def test_rigs_that_fall_silent_or_answer_again_say_nothing_of_a_meter() -> None:
    """A hall without power: nobody answers, the meter falls; then power returns and rigs answer as they start."""
    checks = MeterChecks(SITE, {MAIN: tuple(FULL)})
    for at_s in range(0, 1800, 5):
        dark = 300 <= at_s < 900
        compared(checks, at_s, 0.0 if dark else FULL_MW, silent=1.0 if dark else 0.0, share=1.0)
        assert not checks.doubts, at_s


def test_rigs_that_answer_asleep_after_silence_are_no_change_that_a_meter_missed() -> None:
    """They counted as running while they were silent, and the meter had fallen with the power."""
    checks = MeterChecks(SITE, {MAIN: tuple(FULL)})
    for at_s in range(0, 1800, 5):
        dark, back = at_s >= 300, at_s >= 900
        compared(checks, at_s, 0.02 * FULL_MW if dark else FULL_MW, silent=float(dark and not back), share=0.02 if back else 1.0)
        assert not checks.doubts, at_s


def test_a_meter_of_no_group_or_of_net_load_is_not_judged() -> None:
    checks = MeterChecks(SITE, {MeterId.parse("hall z"): ()})
    for at_s in range(0, 300, 5):
        compared(checks, at_s, -5.0)
    assert checks.doubts == {}
