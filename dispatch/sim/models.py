"""Fleets made of the catalogue's models, for real clients to talk to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dispatch.rigs.dialects import spoken
from dispatch.rigs.wire import Dialect
from dispatch.sim.spec import Affliction, FleetSpec, GroupSpec, fault_from_json
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file

# What rigs of a model nobody knows answer as.
DEFAULT = (Dialect.WHATSMINER_V2, "M60S_VK30")


class ServeFault(Exception):
    """These rigs cannot be served as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One model of a list: NAME, NAME:DIALECT, NAME=WEIGHT or NAME:DIALECT=WEIGHT."""

    group: str
    model: str
    dialect: str | None
    weight: float


def model_fleet(count: int, models: Sequence[str], afflictions: Sequence[Affliction] = ()) -> FleetSpec:
    """`count` rigs, one group a model, shared by weight. A model is NAME, NAME:DIALECT, NAME=WEIGHT or NAME:DIALECT=WEIGHT. Raises
    ServeFault for a model the catalogue does not know and for a dialect it does not speak."""
    known = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models
    asked = [_asked(text) for text in models]
    groups = []
    for a, rigs in zip(asked, _shares(count, [a.weight for a in asked]), strict=True):
        if a.model not in known:
            raise ServeFault(f"{a.model!r} is not in the catalogue; it has {', '.join(known)}")
        try:
            dialect, wire_model = spoken(a.model, a.dialect)
        except ValueError as error:
            raise ServeFault(str(error)) from None
        if rigs:
            of = known[a.model]
            groups.append(GroupSpec(a.group, a.model, rigs, of.modes, of.wake_min, dialect=dialect, wire_model=wire_model))
    return FleetSpec(tuple(groups), tuple(afflictions))


def voiced(spec: FleetSpec) -> FleetSpec:
    """The fleet with a dialect and a name on the wire for every group: its own, or the first its model has in the catalogue."""
    return replace(spec, groups=tuple(_voiced(g) for g in spec.groups))


def faults_of(path: Path, models: Sequence[str]) -> tuple[Affliction, ...]:
    """The faults of a JSON list of {"fault", "group" (a model as it was asked for, without weight), "rigs" or "rate", "from_s", "until_s"}.
    Raises ServeFault."""
    try:
        document = json.loads(path.read_text("utf-8"))
        found = tuple(fault_from_json(f) for f in (document if isinstance(document, list) else document["faults"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServeFault(f"{path}: {error}") from None
    groups = [_asked(text).group for text in models]
    for n, a in enumerate(found):
        if a.group is not None and a.group not in groups:
            raise ServeFault(f"{path}: [{n}].group: {a.group!r} is none of {', '.join(groups)}")
    return found


def _voiced(group: GroupSpec) -> GroupSpec:
    if group.dialect and group.wire_model:
        return group
    try:
        dialect, wire_model = spoken(group.model, group.dialect or None)
    except ValueError:
        dialect, wire_model = DEFAULT
    return replace(group, dialect=dialect, wire_model=wire_model)


def _asked(text: str) -> _Asked:
    group, mark, weight = text.strip().partition("=")
    model, colon, dialect = group.partition(":")
    try:
        heavy = float(weight) if mark else 1.0
    except ValueError:
        heavy = 0.0
    if not 0.0 < heavy < 1e9:
        raise ServeFault(f"{text!r}: a weight is a number over 0, such as {model}=3")
    return _Asked(group, model, dialect if colon else None, heavy)


def _shares(count: int, weights: Sequence[float]) -> list[int]:
    """Whole shares of `count`, as near to the weights as can be; what is left goes to the largest remainders, the first of equals."""
    exact = [count * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    nearest = sorted(range(len(exact)), key=lambda k: (shares[k] - exact[k], k))
    for k in nearest[: count - sum(shares)]:
        shares[k] += 1
    return shares
