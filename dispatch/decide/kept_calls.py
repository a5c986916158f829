"""How long calls stay in the state after their end; later the ledger has them."""

from __future__ import annotations

from datetime import datetime, timedelta

from markets.facts import Call
from optimizer.domain.calls import over_at

KEEP_CALLS = timedelta(days=2)


def not_long_over(calls: tuple[Call, ...], at: datetime) -> tuple[Call, ...]:
    """The calls without those that ended long ago, all versions of an id together: an older version must not count again."""
    versions: dict[tuple[str, str], list[Call]] = {}
    for call in calls:
        versions.setdefault((call.obligation, call.id), []).append(call)
    ends = {key: over_at(of_one) for key, of_one in versions.items()}
    kept = {key for key, end in ends.items() if end is None or end >= at - KEEP_CALLS}
    return calls if len(kept) == len(ends) else tuple(c for c in calls if (c.obligation, c.id) in kept)
