"""Provenance: what a policy demands or forbids of the rigs a site runs, refused when the site file is read."""

from __future__ import annotations

from collections.abc import Iterator

from dispatch.site_file.errors import ConfigFault
from optimizer.domain.obligation import Obligation
from optimizer.domain.site import RigGroup, Site
from optimizer.obligations.plant import Plant, Provenance

TAGS = {"maker": "made by", "assembly": "assembled in", "lists": "named in"}


def provenance_faults(site: Site, book: tuple[Obligation, ...]) -> Iterator[ConfigFault]:
    """Each group that the plant's policy refuses, one line a reason."""
    for plant in (o for o in book if isinstance(o, Plant)):
        for n, group in enumerate(site.groups):
            for tag, words in TAGS.items():
                yield from (ConfigFault(("groups", n, tag), text) for text in _refused(group, plant, tag, words))


def _refused(group: RigGroup, plant: Plant, tag: str, words: str) -> Iterator[str]:
    own = _values(group, tag)
    for value in own:
        if value.casefold() in _folded(plant.forbid, tag):
            yield f"{words} {value}, which {plant.name!r} forbids"
    asked: tuple[str, ...] = getattr(plant.demand, tag)
    if asked and not any(value.casefold() in _folded(plant.demand, tag) for value in own):
        said = f"{words} {', '.join(own)}" if own else "is not set"
        yield f"{said}; {plant.name!r} demands {' or '.join(asked)}"


def _values(group: RigGroup, tag: str) -> tuple[str, ...]:
    value = getattr(group, tag)
    return value if isinstance(value, tuple) else (value,) if value else ()


def _folded(policy: Provenance, tag: str) -> set[str]:
    return {value.casefold() for value in getattr(policy, tag)}
