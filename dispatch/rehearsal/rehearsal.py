"""A rehearsal of a site: its scenarios over the protocols that can say them, and a verdict on each."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from dispatch.rehearsal.desk_protocols import DeskProtocol, protocols
from dispatch.rehearsal.play import load_range, play, rehearsed_site
from dispatch.rehearsal.scenarios import SCENARIOS, CallScenario
from dispatch.rehearsal.verdict import Verdict, judge
from dispatch.site_file.setup import Setup


class Rehearsal:
    """Rehearses the site of a site file with simulated rigs. Raises ConfigError where it cannot be simulated."""

    def __init__(self, setup: Setup) -> None:
        self.setup = rehearsed_site(setup)
        self.loads = load_range(self.setup.site)

    def pairs(self, names: Sequence[str] = (), every_protocol: bool = False) -> list[tuple[CallScenario, DeskProtocol]]:
        """The scenarios of `names`, all when empty, each with a protocol that can say it, by turns; with each of them for `every_protocol`.
        Raises LookupError for a name there is not."""
        known = {scenario.name: scenario for scenario in SCENARIOS}
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise LookupError(f"there is no scenario {name!r}; " + (f"did you mean {near[0]}?" if near else ", ".join(known)))
        found = []
        for n, scenario in enumerate([known[name] for name in names] or SCENARIOS):
            able = [protocol for protocol in protocols() if scenario.speaks in protocol.speaks]
            found += [(scenario, protocol) for protocol in (able if every_protocol else [able[n % len(able)]])]
        return found

    async def run(self, pairs: Sequence[tuple[CallScenario, DeskProtocol]]) -> list[Verdict]:
        """Play them and judge each."""
        site = self.setup.site
        rig_mw = max(m.watts * (1.0 + site.hall_of[g.name].overhead.at(25.0)) for g in site.groups for m in g.modes) / 1e6
        return [judge(each, self.loads, rig_mw) for each in await play(self.setup, pairs)]
