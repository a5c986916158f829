"""How many megawatts of a contract's rigs were proved to drop within a response time: by the flexibility certificate, else as measured.

Where nothing was measured, nothing is known: the market's own qualification is then the only proof, and an offer says so. Where there is
none either, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dispatch.rigs.shed_curve import ShedCurve
from optimizer.domain.site import SLEEP, RigGroup, Site

MEASURED, QUALIFIED, NOT_MEASURED = "measured", "qualified", "not measured"


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known of how a site sheds load: curves by group, and the flexibility certificate where there is one."""

    site: Site
    sheds: Mapping[str, ShedCurve] = field(default_factory=dict)
    certificate: Mapping[str, Any] | None = None

    def mw_within(self, groups: Sequence[str], response_s: float) -> float | None:
        """The most that the groups were proved to drop within a response time, MW; None where a group was never measured and no
        certificate holds."""
        if self.certificate is not None:
            proved = self.certificate["within_mw"]
            return sum(_within(proved.get(name, {}), response_s) for name in groups)
        shares = [curve.share(response_s) if (curve := self.sheds.get(name)) else None for name in groups]
        if not groups or any(share is None for share in shares):
            return None
        return sum((share or 0.0) * drop_mw(self.site, self.site.group(name)) for name, share in zip(groups, shares, strict=True))


def drop_mw(site: Site, group: RigGroup) -> float:
    """What a group drops when all of its rigs go from full draw to sleep, MW at the meter in mild weather."""
    asleep = next((m.watts for m in group.modes if m.name == SLEEP), 0.0)
    watts = max(m.watts for m in group.modes) - asleep
    return group.rigs * watts / 1e6 * (1.0 + site.hall_of[group.name].overhead.share)


def _within(by_bound_s: Mapping[str, float], response_s: float) -> float:
    return max((mw for bound, mw in by_bound_s.items() if float(bound) <= response_s), default=0.0)
