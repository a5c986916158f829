"""A rehearsal of a site: the scenarios of its contracts over the protocols that can say them, and a verdict on each."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from dispatch.rehearsal.contract_scenarios import contract_scenarios
from dispatch.rehearsal.desk_protocols import DeskProtocol
from dispatch.rehearsal.load_range import LoadRange, load_range
from dispatch.rehearsal.modbus_desk import ModbusDesk
from dispatch.rehearsal.openadr2_desk import OpenAdr2Desk
from dispatch.rehearsal.openadr3_desk import OpenAdr3Desk
from dispatch.rehearsal.play import START, play, rehearsed_site
from dispatch.rehearsal.result import RehearsalResult
from dispatch.rehearsal.scenarios import PLANT, SCENARIOS, CallScenario
from dispatch.rehearsal.verdict import judge
from dispatch.rehearsal.webhook_desk import WebhookDesk
from dispatch.site_file.setup import Setup
from markets.grid import OperatingDay
from optimizer.domain.call_terms import CallTerms
from optimizer.domain.obligation import Obligation

# The first can say everything.
PROTOCOLS: tuple[DeskProtocol, ...] = (WebhookDesk(), OpenAdr3Desk(), OpenAdr2Desk(), ModbusDesk())
Pairs = Sequence[tuple[CallScenario, DeskProtocol]]


class Rehearsal:
    """Rehearses the site of a site file with simulated rigs. Raises ConfigError where it cannot be simulated."""

    def __init__(self, setup: Setup) -> None:
        self.setup = rehearsed_site(setup)
        self.on = OperatingDay.of(self.setup.site.market, START).on
        found = {o.name: (o, o.call_terms(self.on)) for o in self.setup.book}
        self.terms: Mapping[str, CallTerms] = {name: terms for name, (_, terms) in found.items() if terms is not None}
        self.loads: Mapping[str, LoadRange] = {name: self._loads(found[name][0]) for name in self.terms}
        own = [s for name in self.terms if name != PLANT for s in self._scenarios(found[name][0])]
        self.scenarios = (*SCENARIOS, *own)

    def _loads(self, contract: Obligation) -> LoadRange:
        return load_range(self.setup.site, contract.scope.names(self.setup.site))

    def _scenarios(self, contract: Obligation) -> list[CallScenario]:
        name = contract.name
        return list(contract_scenarios(name, self.terms[name], contract.promised_mw(), self.loads[name]))

    def pairs(self, names: Sequence[str] = (), protocols: Sequence[str] = (), every_protocol: bool = False) -> Pairs:
        """The scenarios of `names`, all when empty, each with a protocol of `protocols` (any when empty) that can say it, by turns; with
        each of them for `every_protocol`. A scenario that none of them can say is left out. Raises LookupError for a name there is not."""
        known = {scenario.name: scenario for scenario in self.scenarios}
        spoken = {protocol.name: protocol for protocol in PROTOCOLS}
        _check_names("scenario", names, known)
        _check_names("protocol", protocols, spoken)
        chosen = [spoken[name] for name in protocols] or PROTOCOLS
        found: list[tuple[CallScenario, DeskProtocol]] = []
        for n, scenario in enumerate([known[name] for name in names] or self.scenarios):
            able = [protocol for protocol in chosen if scenario.speaks in protocol.speaks]
            found += [(scenario, protocol) for protocol in (able if every_protocol else able[n % len(able) :][:1] if able else [])]
        return found

    async def run(self, pairs: Pairs, *, shadow: bool = False) -> RehearsalResult:
        """Play them, with `shadow` as a site that sends no order, and judge each by the terms of its contract."""
        played = await play(self.setup, pairs, shadow=shadow)
        verdicts = [judge(p, self.loads[p.scenario.contract], self.terms[p.scenario.contract]) for p in played.plays]
        return RehearsalResult(self.setup, self.on, self.terms, self.loads, verdicts, PROTOCOLS, shadow, played.rigs_moved)


def _check_names(what: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise LookupError(f"there is no {what} {name!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(known)))
