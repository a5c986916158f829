"""Physics: exact energy, wake times, faults, and the same seed giving the same fleet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch.sim.fleet import REFUSED, SENT, UNREACHABLE, UNSUPPORTED, Fleet
from dispatch.sim.spec import FleetSpec, GroupSpec, RigFault, ScheduledFault, fault_from_json, spec_from_json, spec_to_json
from dispatch.sim.unit_variation import UnitVariation
from optimizer.domain.site import Mode

MODES = (
    Mode(name="sleep", watts=13, ths=0),
    Mode(name="low", watts=2000, ths=115),
    Mode(name="normal", watts=3400, ths=180),
)


def fleet(rigs: int = 6, *faults: ScheduledFault, wake_min: float = 10.0, seed: int = 1) -> Fleet:
    return Fleet(FleetSpec((GroupSpec("a", "m", rigs, MODES, wake_min), GroupSpec("b", "m", 3, MODES, wake_min)), tuple(faults)), seed, 0.0)


def of(*rigs: int) -> np.ndarray:
    return np.array(rigs, np.int64)


ALL = np.arange(6)


def test_rigs_start_in_normal_mode_and_vary_within_the_makers_tolerance() -> None:
    watts, ths = fleet(4000).read("a", np.arange(4000))
    assert np.all(np.abs(watts / 3400 - 1) <= 0.05 + 1e-12) and np.all(np.abs(ths / 180 - 1) <= 0.03 + 1e-12)
    assert np.std(watts / 3400) == pytest.approx(0.015, rel=0.1)
    assert np.mean(watts) == pytest.approx(3400, rel=0.002)


def test_same_seed_same_fleet_and_another_seed_another() -> None:
    a, b, c = fleet(seed=1), fleet(seed=1), fleet(seed=2)
    assert np.array_equal(a.read("a", ALL), b.read("a", ALL))
    assert not np.array_equal(a.read("a", ALL), c.read("a", ALL))


def test_a_stop_sheds_the_watts_in_five_seconds_and_the_hashing_at_once() -> None:
    f = fleet()
    assert list(f.command("a", of(0, 1), "sleep").code) == [SENT, SENT]
    assert np.all(f.read("a", of(0, 1))[1] == 0)
    f.advance(2.5)
    assert f.read("a", of(0))[0][0] == pytest.approx(3400 / 2, rel=0.06)
    f.advance(5.0)
    assert np.all(f.read("a", of(0, 1))[0] < 14)
    assert np.all(f.read("a", of(2, 3, 4, 5))[0] > 3200)


def test_watts_rise_in_a_minute_and_hashing_is_full_after_the_wake_time() -> None:
    f = fleet()
    f.command("a", ALL, "sleep")
    f.advance(100.0)
    f.command("a", ALL, "normal")
    f.advance(130.0)
    assert np.mean(f.read("a", ALL)[0]) == pytest.approx(1706, rel=0.05)
    f.advance(160.0)
    assert np.all(f.read("a", ALL)[0] > 3200) and np.all(f.read("a", ALL)[1] == 0)
    f.advance(100.0 + 599.0)
    assert np.all(f.read("a", ALL)[1] < 180 * 1.03) and np.mean(f.read("a", ALL)[1]) < 180 * 0.999
    f.advance(100.0 + 600.0)
    assert np.mean(f.read("a", ALL)[1]) == pytest.approx(180, rel=0.02)


def test_a_repeated_order_changes_nothing() -> None:
    f, g = fleet(), fleet()
    assert f.command("a", of(0), "sleep").moved.all() and g.command("a", of(0), "sleep").moved.all()
    f.advance(3.0)
    assert not f.command("a", of(0), "sleep").moved.any()
    f.advance(60.0)
    g.advance(60.0)
    assert f.energy_mwh("a") == pytest.approx(g.energy_mwh("a"), rel=1e-12)


def test_an_unknown_mode_is_unsupported() -> None:
    answers = fleet().command("a", of(0), "turbo")
    assert list(answers.code) == [UNSUPPORTED] and not answers.moved.any()


def test_a_power_limit_holds_through_sleep_and_is_lifted_by_a_mode() -> None:
    f = fleet()
    assert f.limit("a", of(0), 1700.0).moved.all()
    f.advance(100.0)
    watts, ths = f.read("a", of(0))
    assert watts[0] == pytest.approx(1700, rel=0.05) and 0.5 < ths[0] / 180 < 0.62
    f.command("a", of(0), "sleep")
    f.advance(200.0)
    f.wake("a", of(0))
    f.advance(1000.0)
    assert f.read("a", of(0))[0][0] == pytest.approx(1700, rel=0.05)
    f.command("a", of(0), "normal")
    f.advance(2000.0)
    assert f.read("a", of(0))[0][0] == pytest.approx(3400, rel=0.05)


ORDERS = st.sampled_from(["sleep", "low", "normal", "limit", "reboot"])
STEPS = st.lists(
    st.tuples(
        st.floats(0.1, 900),
        st.sampled_from("ab"),
        st.sampled_from([0, 1, 2]),
        ORDERS,
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(STEPS, st.integers(0, 9))
def test_energy_and_work_are_the_integrals_of_watts_and_terahashes(steps: list, seed: int) -> None:
    odd = (
        ScheduledFault(RigFault.REBOOT_LOOP, "a", (0,)),
        ScheduledFault(RigFault.WAKES_BY_ITSELF, "a", (1,)),
        ScheduledFault(RigFault.PARTIAL, "a", (2,)),
    )
    coarse, fine = (fleet(6, *odd, seed=seed) for _ in range(2))
    joules = terahashes = now = 0.0
    for wait, group, rig, order in [*steps, (500.0, "a", 0, "sleep")]:
        cuts = np.linspace(now, now + wait, max(2, int(wait / 2.0)))
        for left, right in zip(cuts, cuts[1:], strict=False):
            fine.advance(left)
            fine.advance((left + right) / 2)
            watts, ths = fine.truth("a", ALL)
            joules += watts.sum() * (right - left)
            terahashes += ths.sum() * (right - left)
        now += wait
        coarse.advance(now)
        fine.advance(now)
        for f in (coarse, fine):
            if order == "limit":
                f.limit(group, of(rig), 2200.0)
            elif order == "reboot":
                f.reboot(group, of(rig))
            else:
                f.command(group, of(rig), order)
    assert coarse.energy_mwh("a") == pytest.approx(fine.energy_mwh("a"), rel=1e-9)
    assert coarse.hash_ph_days("b") == pytest.approx(fine.hash_ph_days("b"), rel=1e-9)
    assert coarse.energy_mwh("a") == pytest.approx(joules / 3.6e9, rel=3e-3)
    assert coarse.hash_ph_days("a") == pytest.approx(terahashes / 8.64e7, rel=3e-3)


@pytest.mark.parametrize(("fault", "said", "sleeps"), [
    (RigFault.REFUSES, REFUSED, False),
    (RigFault.NO_EFFECT, SENT, False),
    (RigFault.HANGS, UNREACHABLE, False),
    (RigFault.UNREACHABLE, UNREACHABLE, False),
    (RigFault.SLOW_ANSWERS, UNREACHABLE, True),
    (RigFault.SLOW_WAKE, SENT, True),
])  # fmt: skip
def test_what_a_faulty_rig_answers_and_does(fault: RigFault, said: int, sleeps: bool) -> None:
    f = fleet(6, ScheduledFault(fault, "a", (1,)))
    assert list(f.command("a", of(0, 1), "sleep").code) == [SENT, said]
    f.advance(10.0)
    truth = f.truth("a", of(0, 1))[0]
    assert truth[0] < 14 and bool(truth[1] < 14) is sleeps
    assert np.isnan(f.read("a", of(1))[0][0]) == (said == UNREACHABLE)


def test_a_partial_rig_keeps_a_board_hashing_until_the_fault_is_cleared() -> None:
    f = fleet(6, ScheduledFault(RigFault.PARTIAL, "a", (1,)))
    f.command("a", of(1), "sleep")
    f.advance(10.0)
    assert f.read("a", of(1))[0][0] == pytest.approx(3400 / 3, rel=0.06)
    f.clear_fault(RigFault.PARTIAL)
    f.advance(20.0)
    assert f.read("a", of(1))[0][0] < 14


def test_a_rig_in_a_reboot_loop_never_hashes_fully_for_long() -> None:
    f = fleet(6, ScheduledFault(RigFault.REBOOT_LOOP, "a", (1,)))
    f.advance(899.0)
    assert f.read("a", of(1))[1][0] > 170
    f.advance(901.0)
    assert f.read("a", of(1))[1][0] == 0 and f.read("a", of(0))[1][0] > 170


def test_a_rig_that_wakes_by_itself_does_so_ten_minutes_after_it_slept() -> None:
    f = fleet(6, ScheduledFault(RigFault.WAKES_BY_ITSELF, "a", (1,)))
    f.command("a", of(0, 1), "sleep")
    f.advance(599.0)
    assert f.modes("a", of(0, 1)) == ["sleep", "sleep"]
    f.advance(601.0)
    assert f.modes("a", of(0, 1)) == ["sleep", "normal"]


def test_a_fault_has_its_time_and_a_rate_is_drawn_by_the_seed() -> None:
    f = fleet(1000, ScheduledFault(RigFault.UNREACHABLE, "a", None, 0.1, 100.0, 200.0))
    everyone = np.arange(1000)
    assert not np.isnan(f.read("a", everyone)[0]).any()
    f.advance(150.0)
    assert np.isnan(f.read("a", everyone)[0]).sum() == 100
    f.advance(250.0)
    assert not np.isnan(f.read("a", everyone)[0]).any()


FAULTS = (ScheduledFault(RigFault.NO_EFFECT, "a", (1, 2)), ScheduledFault(RigFault.HANGS, None, None, 0.2, 5.0))


def test_a_spec_survives_json() -> None:
    spec = FleetSpec(
        (GroupSpec("a", "m", 3, MODES, 8.0),),
        (ScheduledFault(RigFault.NO_EFFECT, "a", (1, 2)), ScheduledFault(RigFault.HANGS, None, None, 0.2, 5.0)),
    )
    assert spec_from_json(spec_to_json(spec)) == spec
    with pytest.raises(ValueError, match="one of refuses"):
        fault_from_json({"fault": "sulks"})
    with pytest.raises(ValueError, match="unknown keys"):
        fault_from_json({"fault": "no_effect", "rig": 3})


def test_rigs_of_a_model_differ_and_the_same_seed_makes_the_same_ones() -> None:
    n = 4000
    drift, again, other = (UnitVariation(n, np.random.default_rng(seed)) for seed in (7, 7, 8))
    for name, spread, most in (("watts", 0.015, 0.05), ("ths", 0.010, 0.03), ("standby", 0.03, 0.05), ("wake", 0.04, 0.10)):
        factor = getattr(drift, name)
        assert np.array_equal(factor, getattr(again, name)) and not np.array_equal(factor, getattr(other, name))
        assert abs(factor.mean() - 1) < 0.003 and 0.7 * spread < factor.std() < 1.1 * spread and np.abs(factor - 1).max() < most + 1e-9
    assert 18 < drift.room_c.min() < 22 and 28 < drift.room_c.max() < 32
    assert abs(np.corrcoef(drift.watts, drift.wake)[0, 1]) < 0.05


def test_a_rig_that_lost_its_pools_draws_a_quarter_and_hashes_nothing_until_they_are_back() -> None:
    some = fleet()
    some.add_fault(ScheduledFault(RigFault.LOSES_POOLS, "a", (1,)))
    some.advance(120.0)
    watts, ths = some.read("a", of(0, 1))
    assert ths[1] == 0 and ths[0] > 170 and watts[1] == pytest.approx(watts[0] / 4, rel=0.1)
    some.command("a", of(0, 1), "sleep")
    some.advance(180.0)
    assert np.all(some.read("a", of(0, 1))[0] < 14)
    some.command("a", of(0, 1), "normal")
    some.clear_fault(RigFault.LOSES_POOLS)
    some.advance(180.0 + 3600.0)
    assert np.all(some.read("a", of(0, 1))[1] > 170)
