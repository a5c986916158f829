"""A scenario applied: the case's inputs are copies of the base's, with the changes; the base's own are never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
from pydantic import BaseModel

from dispatch.decide.plan_inputs import PlanInputs, peak_windows_min
from dispatch.signals.documents import DocumentFault, InvalidDocument, joined, parse_call
from dispatch.site_file import contracts as books
from dispatch.site_file import cross_references, errors, rig_catalogue
from dispatch.site_file.defaults import default_file
from dispatch.site_file.errors import did_you_mean
from dispatch.what_if.baseline import Baseline, hashprices, iso, outside, prices, with_past, within
from dispatch.what_if.scenario import BookChange, Scenario
from markets.forecasting import ladder
from markets.grid import Grid
from markets.outlook import PeakWindow
from markets.series import Series
from optimizer.domain.obligation import Book, Obligation
from optimizer.domain.site import Availability, RigGroup, Site

LONGEST = timedelta(days=8)
PEAK_WINDOWS_MIN: tuple[PeakWindow, ...] = (5, 15, 30, 60, (60, 3))


def base_inputs(ground: Baseline, scenario: Scenario) -> PlanInputs:
    """The plan as it would be now, over the scenario's span and grid. Raises Faults when the span is empty, too long or not known."""
    site = _site(ground.setup.site, scenario)
    grid = _grid(ground, site, scenario)
    points = sorted({m.settlement_point for m in site.meters})
    windows = peak_windows_min(ground.setup.book)
    if windows or any((change.add or {}).get("type") in ("transmission", "pra") for change in scenario.book):
        windows = PEAK_WINDOWS_MIN  # a contract that is added or changed may meter by another interval
    outlook = ladder.outlook(ground.facts, ground.at, grid, points, site.market, synthetic=ground.synthetic, peak_windows_min=windows)
    outlook = with_past(outlook, ground)
    now = grid.start == ground.at
    so_far = ground.so_far if now else replace(ground.so_far, at=grid.start, groups={})
    rigs = {g: Series.flat(grid, n, "rigs") for g, n in ground.rigs.items()} if now else {}
    return PlanInputs(ground.setup.site, ground.setup.book, outlook, so_far, Availability(rigs))


def case_inputs(ground: Baseline, scenario: Scenario, base: PlanInputs) -> PlanInputs:
    """The base with everything the scenario changes. Raises Faults with every fault at once."""
    found: list[DocumentFault] = []
    site, dropped = _fleet(_site(ground.setup.site, scenario), scenario, ground, found)
    case = PlanInputs(
        site=site,
        book=_book(ground, scenario, found),
        outlook=hashprices(prices(base.outlook, scenario, ground, found), scenario, ground, found),
        so_far=replace(base.so_far, groups={k: v for k, v in base.so_far.groups.items() if k not in dropped}),
        availability=_available(base, scenario, site, found),
    )
    calls = []
    for n, call in enumerate(scenario.calls):
        try:
            calls.append(parse_call(call, case.book, base.outlook.grid.start, source="what-if"))
        except InvalidDocument as refused:
            found += [DocumentFault(joined("calls", n, f.path), f.text) for f in refused.faults]
    if found:
        raise InvalidDocument(found)
    return replace(case, so_far=replace(case.so_far, calls=(*case.so_far.calls, *calls)))


def _grid(ground: Baseline, site: Site, scenario: Scenario) -> Grid:
    start = scenario.since or ground.at
    end = scenario.until
    if end is None:
        return ladder.plan_grid(start, site.control_interval_min, site.horizon_h)
    if end <= start:
        raise InvalidDocument([DocumentFault("to", f"the span is empty: it ends at {iso(end)}, not after its start {iso(start)}")])
    if end - start > LONGEST:
        raise InvalidDocument(
            [
                DocumentFault(
                    "to", f"the span is {(end - start) / timedelta(days=1):.1f} days long; a what-if reaches {LONGEST.days} days at most"
                )
            ]
        )
    hours = -(-int((end - start).total_seconds()) // 3600)
    whole = ladder.plan_grid(start, site.control_interval_min, hours).edges
    stop = int(end.timestamp())
    return Grid(np.append(whole[whole < stop], stop))


def _with(model: Any, changes: Mapping[str, Any], path: str) -> Any:
    """A frozen pydantic model with other figures, validated whole. Raises Faults."""
    assert isinstance(model, BaseModel)
    table = {**model.model_dump(mode="json", by_alias=True, exclude_none=True), **changes}
    return _read(type(model), table, path)


def _read(kind: type[Any], table: Any, path: str) -> Any:
    read, wrong = errors.validated(kind, table, ())
    if wrong:
        raise InvalidDocument(DocumentFault(joined(path, *loc), text) for loc, text in wrong)
    return read


def _site(site: Site, scenario: Scenario) -> Site:
    changes = scenario.site.model_dump(exclude_none=True) if scenario.site else {}
    changed: Site = _with(site, changes, "site") if changes else site
    return changed


def _fleet(site: Site, scenario: Scenario, ground: Baseline, found: list[DocumentFault]) -> tuple[Site, set[str]]:
    """The site with groups added and removed, and the names of those that are gone."""
    groups: list[RigGroup] = list(site.groups)
    gone: set[str] = set()
    for n, change in enumerate(scenario.fleet):
        names = [g.name for g in groups]
        if change.remove is not None and change.remove in names:
            groups, gone = [g for g in groups if g.name != change.remove], gone | {change.remove}
        elif change.remove is not None:
            found.append(
                DocumentFault(joined("fleet", n, "remove"), f"the site has no group {change.remove!r}" + did_you_mean(change.remove, names))
            )
        elif change.add is not None:
            try:
                groups.append(_new_group(change.add, site, names, joined("fleet", n, "add")))
            except InvalidDocument as wrong:
                found += wrong.faults
    if not groups:
        found.append(DocumentFault("fleet", "no group is left"))
        return site, gone
    if groups == list(site.groups):
        return site, gone
    # Built anew, not copied: a copy would carry what the old site worked out of its groups.
    return Site(**{**{k: getattr(site, k) for k in Site.model_fields}, "groups": tuple(groups)}), gone


def _new_group(table: Mapping[str, Any], site: Site, names: Sequence[str], path: str) -> RigGroup:
    """A table of [[groups]], the catalogue's figures filled in. Raises Faults."""
    expanded, wrong = rig_catalogue.expand_group(table, rig_catalogue.read_rig_catalogue(default_file("rigs.toml")))
    if wrong:
        raise InvalidDocument(DocumentFault(joined(path, *loc), text) for loc, text in wrong)
    new: RigGroup = _read(RigGroup, expanded, path)
    halls = [h.name for h in site.halls]
    if new.name in names:
        raise InvalidDocument([DocumentFault(joined(path, "name"), f"the site has a group {new.name!r} already")])
    if new.hall not in halls:
        raise InvalidDocument([DocumentFault(joined(path, "hall"), f"the site has no hall {new.hall!r}" + did_you_mean(new.hall, halls))])
    return new


def _available(base: PlanInputs, scenario: Scenario, site: Site, found: list[DocumentFault]) -> Availability:
    grid = base.outlook.grid
    names = {g.name: g for g in site.groups}
    rigs = {k: v for k, v in base.availability.rigs.items() if k in names}
    for n, change in enumerate(scenario.fleet):
        if change.group is None or change.available is None:
            continue
        path = joined("fleet", n)
        if change.group not in names:
            found.append(
                DocumentFault(joined(path, "group"), f"the site has no group {change.group!r}" + did_you_mean(change.group, names))
            )
            continue
        found += outside(change, grid, path)
        was = rigs[change.group].values if change.group in rigs else np.full(len(grid), float(names[change.group].rigs))
        share = within(grid, change.since, change.until)
        new = share * change.available * names[change.group].rigs + (1 - share) * was
        rigs[change.group] = Series(grid, np.where(share > 0, new, was), "rigs")
    return Availability(rigs)


def _book(ground: Baseline, scenario: Scenario, found: list[DocumentFault]) -> Book:
    out: list[Obligation] = list(ground.setup.book)
    for n, change in enumerate(scenario.book):
        try:
            out = _book_change(out, change, ground, joined("book", n))
        except InvalidDocument as wrong:
            found += wrong.faults
    fee = scenario.hash.pool_fee if scenario.hash else None
    if fee is None:
        return tuple(out)
    pays = ["pool_fee" in getattr(type(o), "model_fields", {}) for o in out]
    if not any(pays):
        found.append(DocumentFault("hash.pool_fee", "no obligation of the book pays a pool"))
    return tuple(_with(o, {"pool_fee": fee}, "hash") if p else o for o, p in zip(out, pays, strict=True))


def _book_change(book: list[Obligation], change: BookChange, ground: Baseline, path: str) -> list[Obligation]:
    if change.add is not None:
        new = _new_obligation(change.add, ground, joined(path, "add"))
        if any(o.name == new.name for o in book):
            raise InvalidDocument([DocumentFault(joined(path, "add", "name"), f"the book has an obligation {new.name!r} already")])
        return [*book, new]
    key, name = ("drop", change.drop) if change.drop else ("change", change.change or "")
    old = next((o for o in book if o.name == name), None)
    if old is None:
        raise InvalidDocument(
            [DocumentFault(joined(path, key), f"the book has no obligation {name!r}" + did_you_mean(name or "", [o.name for o in book]))]
        )
    if key == "drop":
        return [o for o in book if o is not old]
    new = books.with_market_rules(_with(old, change.model_extra or {}, path))
    return [new if o is old else o for o in book]


def _new_obligation(table: Mapping[str, Any], ground: Baseline, path: str) -> Obligation:
    """A table of [[obligations]] on this site. Raises Faults."""
    found, wrong = books.read_contracts([(0, table)])
    crossed = cross_references.cross_reference_faults({**ground.setup.document, "obligations": [table]})
    wrong = [*wrong, *(f for f in crossed if f[0][:2] == ("obligations", 0))]
    if wrong:
        raise InvalidDocument(dict.fromkeys(DocumentFault(joined(path, *loc[2:]), text) for loc, text in wrong))
    return found[0]
