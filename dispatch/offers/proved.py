"""How many megawatts of a contract's rigs were proved to drop within a response time: by the flexibility certificate, else as measured.

Where nothing was measured, nothing is known: the market's own qualification is then the only proof, and an offer says so. Where there is
none either, nothing is offered.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatch.evidence.flexibility_certificate import drop_mw
from dispatch.evidence.signing import trusted
from dispatch.rigs.shed_curve import ShedCurve
from optimizer.domain.site import Site

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
            return min(float(self.certificate["mw"]), sum(_within(proved.get(name, {}), response_s) for name in groups))
        shares = [curve.share(response_s) if (curve := self.sheds.get(name)) else None for name in groups]
        if not groups or any(share is None for share in shares):
            return None
        return sum((share or 0.0) * drop_mw(self.site, self.site.group(name)) for name, share in zip(groups, shares, strict=True))


def _within(by_bound_s: Mapping[str, float], response_s: float) -> float:
    return max((mw for bound, mw in by_bound_s.items() if float(bound) <= response_s), default=0.0)


def newest_certificate(data: Path, keys: Collection[str]) -> Mapping[str, Any] | None:
    """The certificate of the latest days among those that a data folder holds and one of the trusted public keys signed; None where there
    is none. A file that is cut short or is no certificate proves nothing and is passed over."""
    found = [_read(file) for file in sorted((data / "certificates").glob("certificate-*.json"))]
    return max((document for document in found if trusted(document, keys)), key=lambda document: str(document["to"]), default=None)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8"))
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
