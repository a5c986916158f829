"""Rehearsal: scenarios against a simulated site, and verdicts by the terms of its contracts that fail where a promise is broken."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from dispatch.clock import VirtualClock
from dispatch.rehearsal.desk_protocols import Timed
from dispatch.rehearsal.dispatch_desk import Play
from dispatch.rehearsal.load_range import LoadRange
from dispatch.rehearsal.modbus_desk import ModbusDesk
from dispatch.rehearsal.openadr2_desk import OpenAdr2Desk
from dispatch.rehearsal.openadr3_desk import OpenAdr3Desk
from dispatch.rehearsal.play import START
from dispatch.rehearsal.rehearsal import PROTOCOLS, Rehearsal
from dispatch.rehearsal.scenarios import SCENARIOS, CallScenario, Expected, Message, deploy
from dispatch.rehearsal.verdict import judge
from dispatch.rehearsal.webhook_desk import WebhookDesk
from dispatch.reports.rehearsal import rehearsal_as_html, rehearsal_as_pdf, write_report
from dispatch.signals.links.link_sections import LinkSettings
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.site_file.load import load_site_file, setup_from_document
from dispatch.store.inbox import Inbox
from dispatch.store.tables import open_ledger
from optimizer.domain.call_terms import CallTerms
from tests.fakes import NOON
from tests.sites import document, group, small

ROOT = Path(__file__).parents[3]
QUICK = ("basic", "cancelled-before", "overlapping-ends", "unknown-contract", "set-point-too-high")
MINUTE = timedelta(minutes=1)


def test_there_are_at_least_25_scenarios_each_of_which_two_protocols_or_the_webhook_can_say() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names)) >= 25
    assert all(scenario.speaks in WebhookDesk.speaks for scenario in SCENARIOS)
    spoken = [sum(scenario.speaks in protocol.speaks for protocol in PROTOCOLS) for scenario in SCENARIOS]
    assert sum(n >= 2 for n in spoken) >= 25
    assert all(scenario.expected for scenario in SCENARIOS)


async def test_a_small_site_passes_over_every_protocol() -> None:
    rehearsal = Rehearsal(small())
    result = await rehearsal.run(rehearsal.pairs(QUICK, every_protocol=True))
    assert not [(v.scenario, v.protocol, v.faults) for v in result.verdicts if not v.passed]
    assert {v.protocol for v in result.verdicts} == {"webhook", "OpenADR 3", "OpenADR 2.0b", "Modbus"}


async def test_in_shadow_what_would_have_been_drawn_is_judged_and_no_rig_moves() -> None:
    rehearsal = Rehearsal(small())
    pairs = rehearsal.pairs(("until-recall", "set-point"), ("webhook", "Modbus"))
    result = await rehearsal.run(pairs, shadow=True)
    assert result.passed and result.rigs_moved == 0, [v.faults for v in result.verdicts]
    assert all(v.drawn_mw is not None and v.asked_mw is not None and v.drawn_mw <= v.asked_mw + 0.005 for v in result.verdicts)
    assert "shadow" in result.document()["against"]


def clr_site() -> Rehearsal:
    """A small site whose second hall is a controllable load that sells 100 kW of ECRS on a meter of its own."""
    site = document(
        meters=[{"id": "main"}, {"id": "clr"}],
        halls=[{"name": "a", "meter": "main", "limit_mw": 0.5}, {"name": "b", "meter": "clr", "limit_mw": 0.5}],
        groups=[group("a-old", "a", watts=3000.0, ths=100.0), group("b-new", "b", watts=3500.0, ths=200.0)],
        obligations=[
            {"type": "power"},
            {"type": "ancillary", "scope": {"meter": "clr"}, "products": ["ECRS"], "qualified_mw": {"ECRS": 0.1}, "lpc_mw": 0.0},
        ],
    )
    return Rehearsal(setup_from_document(site))


async def test_a_contract_is_rehearsed_by_its_own_terms() -> None:
    rehearsal = clr_site()
    terms = rehearsal.terms["ancillary"]
    assert (terms.respond_min, terms.sustain_h, terms.set_points) == (10.0, 1.0, True) and "8.1.1.3" in terms.rule
    own = [s.name for s in rehearsal.scenarios if s.contract == "ancillary"]
    assert own == [f"ancillary: {what}" for what in ("sustained", "recalled", "test", "half", "changed", "set-points")]
    result = await rehearsal.run(rehearsal.pairs(("ancillary: recalled", "ancillary: set-points"), ("webhook", "Modbus")))
    assert not [(v.scenario, v.faults) for v in result.verdicts if not v.passed]
    (recalled, _) = result.verdicts
    assert recalled.due_after_s == 600.0 and recalled.asked_mw == pytest.approx(0.04, abs=0.001), "of the contract's own rigs alone"


@pytest.mark.parametrize(
    ("name", "contract", "terms"),
    [
        ("ercot-miner", "ers", (30.0, True, 12.0, 10.0)),
        ("ercot-miner", "ancillary", (10.0, False, 4.0, None)),
        ("miso-midwest", "lmr", (30.0, True, 4.0, None)),
        ("tariff-site", "plant", (3.0, False, 0.0, None)),
    ],
)
def test_the_terms_of_contracts_are_those_of_their_programmes(
    name: str, contract: str, terms: tuple[float, bool, float, float | None]
) -> None:
    found = Rehearsal(load_site_file(ROOT / "config" / f"{name}.toml")).terms[contract]
    assert (found.respond_min, found.from_notice, found.sustain_h, found.restore_h) == terms and found.rule


def played(readings: list[float], *expected: Expected, **more: object) -> Play:
    """A play in which each minute's load was read."""
    scenario = CallScenario("x", "", (deploy(0, 0.5),), expected, **more)  # type: ignore[arg-type]
    return Play(scenario, WebhookDesk(), START, [(START + n * MINUTE, mw) for n, mw in enumerate(readings)])


LOADS = LoadRange(0.0, 10.0, rig_mw=0.003)
FAST, BAND = CallTerms(3.0), CallTerms(3.0, missing_share=0.05, excess_share=0.5)
SLOW = CallTerms(4.0, from_notice=True)


@pytest.mark.parametrize(
    ("play", "terms", "fault"),
    [
        (played([10.0, 5.0, 5.0, 5.0, 5.0], Expected(0, 5, 0.5)), FAST, ""),
        (played([10.0, 5.0, 5.0, 5.0, 6.0], Expected(0, 5, 0.5)), FAST, "1.000 MW more than asked for"),
        (played([10.0, 5.0, 5.0, 5.0, 4.0], Expected(0, 5, 0.5, exactly=True)), FAST, "1.000 MW less than asked for"),
        (played([10.0, 5.0, 5.0, 5.2, 5.2], Expected(0, 5, 0.5)), BAND, ""),
        (played([10.0, 5.0, 5.0, 5.3, 5.2], Expected(0, 5, 0.5)), BAND, "0.250 MW are allowed"),
        (played([10.0, 5.0, 5.0, 2.4, 2.4], Expected(0, 5, 0.5)), BAND, "2.600 MW less than asked for"),
        (played([10.0, 10.0, 10.0, 10.0, 5.0], Expected(0, 5, 0.5)), FAST, "5.000 MW more"),
        (played([10.0, 10.0, 10.0, 10.0, 5.0], Expected(0, 5, 0.5)), SLOW, ""),
        (played([10.0, 10.0, 5.0, 5.0, 5.0], Expected(2, 5, 0.5, notice_min=-2.0)), SLOW, ""),
        (played([10.0, 8.0], Expected(0, 2)), FAST, "were to be left alone drew 8.000 MW"),
        (played([5.0, 5.0, 8.0], Expected(0, 3, back_within_min=2.0)), FAST, "were to be back drew 8.000 MW"),
        (played([5.0, 5.0, 9.5], Expected(0, 3, back_within_min=2.0)), FAST, ""),
        (played([10.0], Expected(0, 5, 0.5)), FAST, "nothing was read"),
        (played([5.0] * 5, Expected(0, 5, 0.5), silent=True), FAST, "there was no alarm"),
    ],
)
def test_a_verdict_names_what_was_broken(play: Play, terms: CallTerms, fault: str) -> None:
    verdict = judge(play, LOADS, terms)
    assert verdict.passed is not bool(fault) and fault in "; ".join(verdict.faults)


def test_what_must_be_refused_and_is_accepted_fails() -> None:
    play = played([10.0] * 5, Expected(0, 5))
    play.accepted = [(Message(0, "deploy", 0.3, refused=True), True), (Message(0, "recall"), False)]
    first, second = judge(play, LOADS, FAST).faults
    assert "had to be refused" in first and "recall A of minute 0 was refused" in second


def test_an_unknown_name_is_named_with_the_nearest() -> None:
    with pytest.raises(LookupError, match="did you mean basic"):
        Rehearsal(small()).pairs(["basc"])
    with pytest.raises(LookupError, match="no protocol 'modbus'; did you mean Modbus"):
        Rehearsal(small()).pairs((), ["modbus"])


@pytest.mark.parametrize("protocol", [WebhookDesk(), OpenAdr2Desk(), OpenAdr3Desk(), ModbusDesk()], ids=lambda p: p.name)
async def test_a_message_without_a_figure_is_never_sent_as_0_mw(protocol: WebhookDesk, tmp_path: Path) -> None:
    engine = open_ledger(tmp_path)
    inbox = Inbox(engine)
    settings = LinkSettings(name="desk", kind="rehearsal", obligation="plant")
    site = LinkedSite(settings, small(), inbox, VirtualClock(NOON), lambda: None)
    kind = "set_point" if protocol.name == "Modbus" else "deploy"
    async with protocol.reach(site) as end:
        try:
            accepted = await end.send(Timed(Message(0, kind), "x", NOON, NOON, None, None, "plant"))
        except ValueError:
            accepted = False
    assert not accepted and inbox.newest() == 0
    engine.dispose()


async def test_the_report_has_terms_protocols_and_every_fault(tmp_path: Path) -> None:
    rehearsal = Rehearsal(small())
    rehearsal.terms = {"plant": CallTerms(0.0, rule="a test")}
    result = await rehearsal.run(rehearsal.pairs(("basic",), ("Modbus", "OpenADR 2.0b")))
    report = result.document()
    assert report["failed"] == 1 and not report["passed"] and report["contracts"][0]["terms"]["respond_min"] == 0.0
    html = rehearsal_as_html(report)
    assert "FAILED: 0 of 1" in html and "more than asked for" in html and "OpenADR 2.0b" in html and "a test" in html
    files = write_report(report, tmp_path / "report")
    assert [f.suffix for f in files] == [".json", ".html", ".pdf"]
    assert files[2].read_bytes() == rehearsal_as_pdf(report)
