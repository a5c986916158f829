"""How quickly the rigs of a group shed their load, as measured by read-backs of orders to sleep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Upper bounds, seconds from the order's first sending to the reading that shows it; response times of products lie between them.
BOUNDS_S = (5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
KEEP_ORDERS = 200
# With fewer rigs measured than this, 99 % of them means nothing.
LEAST_RIGS = 20
# An order to a few that did not obey before says nothing of the group: orders under this share of the largest are left out.
LARGE = 0.1


@dataclass(frozen=True, slots=True)
class ShedCurve:
    """The last orders to sleep of a group: how many rigs each commanded, and how many of them had shed within each of `BOUNDS_S`."""

    orders: tuple[tuple[int, tuple[int, ...]], ...] = ()

    def after(self, shed_within_s: Mapping[str, int], commanded: int) -> ShedCurve:
        """With one more order to `commanded` rigs; `shed_within_s` counts rigs by the bound within which they were read to have shed, as in
        `Result.shed_within_s`."""
        within = tuple(sum(n for bound, n in shed_within_s.items() if float(bound) <= b) for b in BOUNDS_S)
        return ShedCurve((*self.orders, (commanded, within))[-KEEP_ORDERS:])

    def share(self, response_s: float, quantile: float = 0.99) -> float | None:
        """The share of commanded rigs that had shed within a response time in `quantile` of the orders, by rigs; None where too few were
        measured. The time between two bounds counts as the lower one."""
        largest = max((commanded for commanded, _ in self.orders), default=0)
        large = [(commanded, within) for commanded, within in self.orders if commanded >= LARGE * largest]
        rigs = sum(commanded for commanded, _ in large)
        if rigs < LEAST_RIGS:
            return None
        k = max((i for i, b in enumerate(BOUNDS_S) if b <= response_s), default=-1)
        shares = sorted((within[k] / commanded if k >= 0 else 0.0, commanded) for commanded, within in large)
        passed, allowed = 0, (1.0 - quantile) * rigs
        for share, commanded in shares:
            passed += commanded
            if passed > allowed:
                return share
        return shares[-1][0]

    def shed(self) -> tuple[tuple[float, float], ...]:
        """(response time in seconds, share that sheds within it in 99 % of the orders); empty where too few were measured."""
        shares = ((bound, self.share(bound)) for bound in BOUNDS_S)
        return tuple((bound, share) for bound, share in shares if share is not None)


def bucket(seconds: float) -> str | None:
    """The bound a measured time falls under, as entries write it; None beyond the last."""
    return next((f"{b:g}" for b in BOUNDS_S if seconds <= b), None)
