"""Fleets made of the catalogue's models, for real clients to talk to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dispatch.rigs.dialects import dialect_and_wire_model
from dispatch.rigs.wire import Dialect
from dispatch.sim.spec import FleetSpec, GroupSpec, ScheduledFault, fault_from_json
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file

# Rigs of a model that is not in the catalogue answer as this one.
DEFAULT = (Dialect.WHATSMINER_V2, "M60S_VK30")


class ServeFault(Exception):
    """Simulated rigs cannot be served as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class _ModelShare:
    """One model of a list: NAME, NAME:DIALECT, NAME=WEIGHT or NAME:DIALECT=WEIGHT."""

    group: str
    model: str
    dialect: str | None
    weight: float


def model_fleet(count: int, models: Sequence[str], faults: Sequence[ScheduledFault] = ()) -> FleetSpec:
    """`count` rigs, one group a model, shared by weight. A model is NAME, NAME:DIALECT, NAME=WEIGHT or NAME:DIALECT=WEIGHT. Raises
    ServeFault for a model the catalogue does not know and for a dialect it does not speak."""
    known = rig_catalogue.read_rig_catalogue(default_file("rigs.toml")).models
    shares_asked = [_model_share(text) for text in models]
    groups = []
    for a, rigs in zip(shares_asked, _shares(count, [a.weight for a in shares_asked]), strict=True):
        if a.model not in known:
            raise ServeFault(f"{a.model!r} is not in the catalogue; it has {', '.join(known)}")
        try:
            dialect, wire_model = dialect_and_wire_model(a.model, a.dialect)
        except ValueError as error:
            raise ServeFault(str(error)) from None
        if rigs:
            of = known[a.model]
            groups.append(GroupSpec(a.group, a.model, rigs, of.modes, of.wake_min, dialect=dialect, wire_model=wire_model))
    return FleetSpec(tuple(groups), tuple(faults))


def with_dialects(spec: FleetSpec) -> FleetSpec:
    """The fleet with a dialect and a wire model for every group: its own, or the first that its model has in the catalogue."""
    return replace(spec, groups=tuple(_with_dialect(g) for g in spec.groups))


def faults_of(path: Path, models: Sequence[str]) -> tuple[ScheduledFault, ...]:
    """The faults of a JSON list of {"fault", "group" (a model as it was asked for, without weight), "rigs" or "rate", "from_s", "until_s"}.
    Raises ServeFault."""
    try:
        document = json.loads(path.read_text("utf-8"))
        found = tuple(fault_from_json(f) for f in (document if isinstance(document, list) else document["faults"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServeFault(f"{path}: {error}") from None
    groups = [_model_share(text).group for text in models]
    for n, a in enumerate(found):
        if a.group is not None and a.group not in groups:
            raise ServeFault(f"{path}: [{n}].group: {a.group!r} is none of {', '.join(groups)}")
    return found


def _with_dialect(group: GroupSpec) -> GroupSpec:
    if group.dialect and group.wire_model:
        return group
    try:
        dialect, wire_model = dialect_and_wire_model(group.model, group.dialect or None)
    except ValueError:
        dialect, wire_model = DEFAULT
    return replace(group, dialect=dialect, wire_model=wire_model)


def _model_share(text: str) -> _ModelShare:
    group, mark, weight = text.strip().partition("=")
    model, colon, dialect = group.partition(":")
    try:
        value = float(weight) if mark else 1.0
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:
        raise ServeFault(f"{text!r}: a weight is a number over 0, such as {model}=3")
    return _ModelShare(group, model, dialect if colon else None, value)


def _shares(count: int, weights: Sequence[float]) -> list[int]:
    """Whole shares of `count`, as near to the weights as can be; what is left goes to the largest remainders, the first of equals."""
    exact = [count * weight / sum(weights) for weight in weights]
    shares = [int(share) for share in exact]
    nearest = sorted(range(len(exact)), key=lambda k: (shares[k] - exact[k], k))
    for k in nearest[: count - sum(shares)]:
        shares[k] += 1
    return shares
