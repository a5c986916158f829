"""What a rehearsal found, as JSON values: the document that a partner asks for before production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from dispatch.rehearsal.desk_protocols import DeskProtocol
from dispatch.rehearsal.load_range import LoadRange
from dispatch.rehearsal.verdict import Verdict
from dispatch.site_file.setup import Setup
from optimizer.domain.call_terms import CallTerms

SIMULATED, SHADOW = "simulated rigs", "shadow: no order is sent, what the rigs would have drawn is judged"


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """The verdicts on a site. `on` is the operating day whose rules were used; in `shadow` a rig that was moved fails the rehearsal."""

    setup: Setup
    on: date
    terms: Mapping[str, CallTerms]
    loads: Mapping[str, LoadRange]
    verdicts: Sequence[Verdict]
    protocols: Sequence[DeskProtocol]
    shadow: bool
    rigs_moved: int

    @property
    def failed(self) -> int:
        return sum(not verdict.passed for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether everything passed, and in shadow no rig was moved."""
        return not self.failed and not (self.shadow and self.rigs_moved)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        site, spoken = self.setup.site, {verdict.protocol for verdict in self.verdicts}
        called = {verdict.contract for verdict in self.verdicts}
        return {
            "site": site.name,
            "market": site.market.value,
            "config_hash": self.setup.hash_id,
            "against": SHADOW if self.shadow else SIMULATED,
            "rules_of": self.on.isoformat(),
            "rigs": sum(g.rigs for g in site.groups),
            "rigs_moved": self.rigs_moved if self.shadow else None,
            "protocols": [{"name": p.name, "carried": p.carried} for p in self.protocols if p.name in spoken],
            "contracts": [self._contract(name) for name in self.terms if name in called],
            "played": len(self.verdicts),
            "failed": self.failed,
            "passed": self.passed,
            "scenarios": [{**asdict(v), "passed": v.passed, "faults": list(v.faults)} for v in self.verdicts],
        }

    def _contract(self, name: str) -> dict[str, Any]:
        loads = self.loads[name]
        return {"name": name, "lowest_mw": loads.lowest_mw, "highest_mw": loads.highest_mw, "terms": asdict(self.terms[name])}
