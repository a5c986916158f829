"""What stands behind a meter: a generator needs one meter of its own, and somebody who settles all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch.site_file.errors import ConfigFault, Where
from optimizer.domain.net_load import meters_whole
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import Site
from optimizer.obligations.generation import Generation
from optimizer.obligations.power import Power


def generator_faults(site: Site, book: Sequence[tuple[int | None, Obligation]]) -> Iterator[ConfigFault]:
    """Contracts with their positions in the file: generators that stand nowhere, and what they make that nobody would settle."""
    for n, obligation in book:
        if not isinstance(obligation, Generation):
            continue
        where: Where = ("obligations",) if n is None else ("obligations", n)
        try:
            meter = obligation.meter(site)
        except ValueError:
            known = ", ".join(m.id for m in site.meters)
            text = f'needs the meter it stands behind, scope = {{ meter = "..." }}; there are {known}'
            yield ConfigFault((*where, "scope"), text)
            continue
        if not any(isinstance(o, Power) and meter in meters_whole(site, o.scope) for _, o in book):
            yield ConfigFault(where, f"no power contract covers all of meter {meter.id!r}: its generation would not be settled")
