"""A scenario's changes of the fleet: groups added, removed or given another model, and rigs that are out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.signals.documents import DocumentFault, InvalidDocument, joined_path
from dispatch.site_file import rig_catalogue
from dispatch.site_file.defaults import default_file
from dispatch.site_file.errors import did_you_mean
from dispatch.what_if.baseline import outside, within
from dispatch.what_if.models import read_model
from dispatch.what_if.scenario import FleetChange
from markets.series import Series
from optimizer.domain.site import Availability, RigGroup, Site

# Of a group, what belongs to its model and is read anew when the model changes.
OF_THE_MODEL = ("modes", "wake_min", "maker", "assembly", "lists")


def with_fleet(site: Site, changes: Sequence[FleetChange], found: list[DocumentFault]) -> tuple[Site, set[str]]:
    """The site with groups added, removed and given another model, and the names of the groups that are no longer what they were. Faults
    are added to `found`."""
    groups, replaced = list(site.groups), set[str]()
    for n, change in enumerate(changes):
        try:
            groups = _changed_groups(groups, change, site, joined_path("fleet", n))
            replaced |= {name for name in (change.remove, change.swap) if name is not None}
        except InvalidDocument as wrong:
            found += wrong.faults
    if not groups:
        found.append(DocumentFault("fleet", "no group is left on the site"))
        return site, replaced
    if groups == list(site.groups):
        return site, replaced
    # Built anew, not copied: a copy would keep the values that the old site cached about its groups.
    return Site(**{**{k: getattr(site, k) for k in Site.model_fields}, "groups": tuple(groups)}), replaced


def _changed_groups(groups: list[RigGroup], change: FleetChange, site: Site, path: str) -> list[RigGroup]:
    """The groups after one change. Raises InvalidDocument."""
    if change.add is not None:
        return [*groups, _new_group(change.add, site, [g.name for g in groups], joined_path(path, "add"))]
    if change.remove is not None:
        gone = _known(change.remove, groups, "group", joined_path(path, "remove"))
        return [g for g in groups if g.name != gone]
    if change.swap is not None:
        swapped = _known(change.swap, groups, "group", joined_path(path, "swap"))
        return [_with_model(g, change.model or "", path) if g.name == swapped else g for g in groups]
    return groups


def _known(name: str, known: Sequence[Any], what: str, path: str) -> str:
    names = [k.name for k in known]
    if name not in names:
        raise InvalidDocument([DocumentFault(path, f"the site has no {what} {name!r}" + did_you_mean(name, names))])
    return name


def _new_group(table: Mapping[str, Any], site: Site, names: Sequence[str], path: str) -> RigGroup:
    """A rig group from a table like [[groups]], completed from the rig catalogue. Raises InvalidDocument."""
    new = _expanded(table, path)
    if new.name in names:
        raise InvalidDocument([DocumentFault(joined_path(path, "name"), f"the site already has a group {new.name!r}")])
    _known(new.hall, site.halls, "hall", joined_path(path, "hall"))
    return new


def _with_model(group: RigGroup, model: str, path: str) -> RigGroup:
    """The group with as many rigs of another model of the catalogue. Raises InvalidDocument."""
    kept = group.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(OF_THE_MODEL))
    return _expanded({**kept, "model": model}, path)


def _expanded(table: Mapping[str, Any], path: str) -> RigGroup:
    expanded, wrong = rig_catalogue.expand_group(table, rig_catalogue.read_rig_catalogue(default_file("rigs.toml")))
    if wrong:
        raise InvalidDocument(DocumentFault(joined_path(path, *loc), text) for loc, text in wrong)
    group: RigGroup = read_model(RigGroup, expanded, path)
    return group


def available(base: PlanInputs, changes: Sequence[FleetChange], site: Site, found: list[DocumentFault]) -> Availability:
    """The rigs of a site that can be used where shares of groups or halls are out. Faults are added to `found`."""
    grid = base.outlook.grid
    rigs = {g.name: base.availability.rigs[g.name] for g in site.groups if g.name in base.availability.rigs}
    for n, change in enumerate(changes):
        if change.available is None:
            continue
        path = joined_path("fleet", n)
        try:
            groups = _named_groups(change, site, path)
        except InvalidDocument as wrong:
            found += wrong.faults
            continue
        found += outside(change, grid, path)
        share = within(grid, change.since, change.until)
        for group in groups:
            was = rigs[group.name].values if group.name in rigs else np.full(len(grid), float(group.rigs))
            new = share * change.available * group.rigs + (1 - share) * was
            rigs[group.name] = Series(grid, np.where(share > 0, new, was), "rigs")
    return Availability(rigs)


def _named_groups(change: FleetChange, site: Site, path: str) -> list[RigGroup]:
    if change.hall is not None:
        hall = _known(change.hall, site.halls, "hall", joined_path(path, "hall"))
        return [g for g in site.groups if g.hall == hall]
    name = _known(change.group or "", site.groups, "group", joined_path(path, "group"))
    return [g for g in site.groups if g.name == name]
