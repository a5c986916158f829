"""Groups proposed from the rigs that a scan found, or from models and counts: one group for each hall, model and dialect."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dispatch.new_site.halls import HallOf
from dispatch.rigs.wire import OF_MAKE
from dispatch.site_file.rig_catalogue import RigModel
from markets import counted

# How makes write the same name: "Antminer S21+ Hyd.", "S21PlusHydro"; "M60S_VK30", "M60S VK30"; "Avalon 1566", "1566".
_SPELLINGS = (("plus", "+"), ("hydro", "hyd"), ("antminer", ""), ("whatsminer", ""), ("avalonminer", ""), ("avalon", ""))
_CHIPS = re.compile(r"[ _](?:v[a-z]?\d+\w*)$", re.I)


@dataclass(frozen=True, slots=True)
class ProposedGroup:
    """A group of the new site file. `rigs_at` are the addresses of its rigs in order, empty for rigs that are only counted; `dialect` is
    None where it is the first of the make."""

    name: str
    hall: str
    model: str
    rigs: int
    dialect: str | None = None
    rigs_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """Groups, and what was found and is in none of them: sentences with what to do."""

    groups: tuple[ProposedGroup, ...]
    left_out: tuple[str, ...] = ()


def catalogue_model(found_model: str, dialect: str, models: Mapping[str, RigModel]) -> str:
    """The catalogue's name of a model that a rig reported, empty where the catalogue has none. Another bin of a Whatsminer's chips counts
    as the model of the same name where the catalogue has only one."""
    makes = {make for make, spoken in OF_MAKE.items() if dialect in spoken}
    of_make = {name: model.wire_model or model.name for name, model in models.items() if model.make in makes}
    exact = [name for name, wire in of_make.items() if _plain(wire) == _plain(found_model)]
    alike = exact or [name for name, wire in of_make.items() if _plain(_CHIPS.sub("", wire)) == _plain(_CHIPS.sub("", found_model))]
    return alike[0] if found_model and len(alike) == 1 else ""


def groups_of_scan(found: Iterable[Mapping[str, Any]], models: Mapping[str, RigModel], hall_of: HallOf) -> Proposal:
    """Groups of the rows of `dispatch.rigs.inventory.scan_rows`; a rig that is in no hall is left out."""
    members: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    unused: dict[str, list[str]] = defaultdict(list)
    for row in found:
        model = catalogue_model(row["model"], row["dialect"], models)
        hall = hall_of(row["ip"])
        if reason := _left_out(row, model, hall):
            unused[reason].append(row["ip"])
        else:
            members[hall, model, row["dialect"]].append(row["ip"])
    several = {(hall, model) for hall, model, _ in members if sum((hall, model) == key[:2] for key in members) > 1}
    groups = tuple(
        ProposedGroup(
            "-".join([hall, _short(model), *([dialect] if (hall, model) in several else [])]),
            hall,
            model,
            len(ips),
            None if dialect == OF_MAKE[models[model].make][0] else dialect,
            tuple(ips),
        )
        for (hall, model, dialect), ips in sorted(members.items())
    )
    return Proposal(groups, tuple(f"{_named(ips)} {reason}" for reason, ips in unused.items()))


def counted_group(text: str, models: Mapping[str, RigModel]) -> ProposedGroup:
    """The group of "MODEL=COUNT" or "MODEL=COUNT@HALL". Raises ValueError with what is wrong."""
    model, _, rest = text.partition("=")
    count, _, hall = rest.partition("@")
    if not count.strip().isdigit() or not int(count):
        raise ValueError(f"{text!r} is not MODEL=COUNT or MODEL=COUNT@HALL, such as antminer-s21=2000@a")
    if model not in models:
        raise ValueError(f"{model!r} is not in the catalogue: {', '.join(models)}")
    return ProposedGroup(f"{hall or 'a'}-{_short(model)}", hall or "a", model, int(count))


def map_rows(groups: Sequence[ProposedGroup]) -> list[dict[str, str]]:
    """The rows of a map of the site: address, group, hall and model of each rig."""
    return [{"ip": ip, "group": g.name, "hall": g.hall, "model": g.model} for g in groups for ip in g.rigs_at]


def _named(ips: Sequence[str]) -> str:
    """How many rigs, and the first one's address: "3 rigs (10.0.0.7 ...)"."""
    return f"{counted(len(ips), 'rig')} ({ips[0]}{' ...' if len(ips) > 1 else ''})"


def _left_out(row: Mapping[str, Any], model: str, hall: str) -> str:
    if not row["dialect"]:
        return f"left out: {row['note'] or 'nothing that is driven here answered'}"
    if not model:
        named = f"{row['make']} {row['model']}".strip() or "a model it does not name"
        return f"left out: the catalogue has no {named}; write a group with its modes in full"
    return "" if hall else "left out: no hall is given for this address"


def _plain(name: str) -> str:
    """A model's name without the make, and without what makes write differently."""
    text = name.lower()
    for theirs, ours in _SPELLINGS:
        text = text.replace(theirs, ours)
    return re.sub(r"[^a-z0-9+]", "", text)


def _short(model: str) -> str:
    """A model of the catalogue without its make, as the shipped sites name groups."""
    return model.partition("-")[2].replace("-", "").replace("++", "pp").replace("+", "p") or model
