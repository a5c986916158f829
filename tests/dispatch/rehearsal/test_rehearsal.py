"""Rehearsal: scenarios against a simulated site, and verdicts that fail where a promise is broken."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatch.rehearsal.desk_protocols import Documents, protocols
from dispatch.rehearsal.play import START, LoadRange, Play
from dispatch.rehearsal.rehearsal import Rehearsal
from dispatch.rehearsal.scenarios import SCENARIOS, CallScenario, Expected, Message, deploy
from dispatch.rehearsal.verdict import judge
from dispatch.site_file.load import load_site_file
from tests.sites import small

ROOT = Path(__file__).parents[3]
EXAMPLES = ("hosting-site", "tariff-site")
OF_EXAMPLES = ("basic", "advance-notice", "cancelled-before")
QUICK = ("basic", "cancelled-before", "overlapping-ends", "unknown-contract", "set-point-too-high")
MINUTE = timedelta(minutes=1)


def test_there_are_at_least_25_scenarios_each_of_which_a_protocol_can_say() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names)) >= 25
    assert all(any(scenario.speaks in protocol.speaks for protocol in protocols()) for scenario in SCENARIOS)
    assert all(scenario.expected for scenario in SCENARIOS)


async def test_a_small_site_passes_over_two_protocols() -> None:
    rehearsal = Rehearsal(small())
    verdicts = await rehearsal.run(rehearsal.pairs(QUICK, every_protocol=True))
    assert not [(v.scenario, v.protocol, v.faults) for v in verdicts if not v.passed]
    assert {v.protocol for v in verdicts} == {"documents", "OpenADR 2.0b", "Modbus"}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_examples_pass(name: str) -> None:
    rehearsal = Rehearsal(load_site_file(ROOT / "config" / f"{name}.toml"))
    verdicts = await rehearsal.run(rehearsal.pairs(OF_EXAMPLES))
    assert not [(v.scenario, v.protocol, v.faults) for v in verdicts if not v.passed]
    assert len({v.protocol for v in verdicts}) >= 2


def played(readings: list[float], *expected: Expected, **more: object) -> Play:
    """A play in which each minute's load was read."""
    scenario = CallScenario("x", "", (deploy(0, 0.5),), expected, **more)  # type: ignore[arg-type]
    return Play(scenario, Documents(), START, [(START + n * MINUTE, mw) for n, mw in enumerate(readings)])


LOADS = LoadRange(0.0, 10.0)


@pytest.mark.parametrize(
    ("play", "fault"),
    [
        (played([10.0, 5.0, 5.0, 5.0, 5.0], Expected(0, 5, 0.5)), ""),
        (played([10.0, 5.0, 5.0, 5.0, 6.0], Expected(0, 5, 0.5)), "1.000 MW more than asked for"),
        (played([10.0, 5.0, 5.0, 5.0, 4.0], Expected(0, 5, 0.5, exactly=True)), "1.000 MW less than asked for"),
        (played([10.0, 8.0], Expected(0, 2)), "were to be left alone drew 8.000 MW"),
        (played([10.0], Expected(0, 5, 0.5)), "nothing was read"),
        (played([5.0] * 5, Expected(0, 5, 0.5), silent=True), "there was no alarm"),
    ],
)
def test_a_verdict_names_what_was_broken(play: Play, fault: str) -> None:
    verdict = judge(play, LOADS, rig_mw=0.003)
    assert verdict.passed is not bool(fault) and fault in "; ".join(verdict.faults)


def test_what_must_be_refused_and_is_accepted_fails() -> None:
    play = played([10.0] * 5, Expected(0, 5))
    play.accepted = [(Message(0, "deploy", 0.3, refused=True), True), (Message(0, "recall"), False)]
    first, second = judge(play, LOADS, rig_mw=0.003).faults
    assert "had to be refused" in first and "recall A of minute 0 was refused" in second


def test_an_unknown_scenario_is_named_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="did you mean basic"):
        Rehearsal(small()).pairs(["basc"])
