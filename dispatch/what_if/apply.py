"""Applies a scenario: copies of the baseline's plan inputs, with the scenario's changes. The baseline itself is never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from dispatch.decide.plan_inputs import PlanInputs
from dispatch.signals.documents import DocumentFault, InvalidDocument, joined_path, parse_call
from dispatch.site_file import contracts as books
from dispatch.site_file import cross_references, market_rules
from dispatch.site_file.errors import did_you_mean
from dispatch.what_if.baseline import Baseline, hashprices, iso, prices, with_past
from dispatch.what_if.fleet_changes import available, with_fleet
from dispatch.what_if.models import changed_model
from dispatch.what_if.scenario import BookChange, Scenario
from markets.forecasting import ladder
from markets.grid import Grid
from markets.outlook import PeakWindow
from markets.series import Series
from optimizer.domain.book import peak_windows
from optimizer.domain.obligation import Book, Obligation
from optimizer.domain.site import Availability, Site

MAX_SPAN = timedelta(days=8)


@dataclass(frozen=True, slots=True)
class BaseRequest:
    """What of a scenario decides the plan without its changes: the span, the lengths of its intervals, and the peaks that are foreseen."""

    since: datetime | None
    until: datetime | None
    control_interval_min: int
    horizon_h: int
    peak_windows: frozenset[PeakWindow]

    @classmethod
    def of(cls, baseline: Baseline, scenario: Scenario) -> BaseRequest:
        """Raises InvalidDocument for figures of the site that cannot be."""
        site = _site(baseline.setup.site, scenario)
        # A contract that is added or changed may measure its peak over another interval. Its faults are reported by `case_inputs`.
        windows = peak_windows((*baseline.setup.book, *_book(baseline, scenario, [])))
        return cls(scenario.since, scenario.until, site.control_interval_min, site.horizon_h, frozenset(windows))


def base_inputs(baseline: Baseline, asked: BaseRequest) -> PlanInputs:
    """The inputs of the plan without changes, over the scenario's span and grid. Raises InvalidDocument for a span it cannot use."""
    site = baseline.setup.site
    grid = _grid(baseline, asked)
    points = sorted(baseline.setup.settlement_points)
    windows = sorted(asked.peak_windows, key=str)
    outlook = ladder.outlook(baseline.facts, baseline.at, grid, points, site.market, synthetic=baseline.synthetic, peak_windows_min=windows)
    outlook = with_past(outlook, baseline)
    now = grid.start == baseline.at
    so_far = baseline.so_far if now else replace(baseline.so_far, at=grid.start, groups={})
    rigs = {g: Series.flat(grid, n, "rigs") for g, n in baseline.rigs.items()} if now else {}
    return PlanInputs(site, baseline.setup.book, outlook, so_far, Availability(rigs))


def case_inputs(baseline: Baseline, scenario: Scenario, base: PlanInputs) -> PlanInputs:
    """The base inputs with all changes of the scenario. Raises InvalidDocument with every fault at once."""
    found: list[DocumentFault] = []
    site, replaced = with_fleet(_site(baseline.setup.site, scenario), scenario.fleet, found)
    case = PlanInputs(
        site=site,
        book=_book(baseline, scenario, found),
        outlook=hashprices(prices(base.outlook, scenario.prices, baseline, found, "prices"), scenario, baseline, found),
        so_far=replace(base.so_far, groups={k: v for k, v in base.so_far.groups.items() if k not in replaced}),
        availability=available(base, scenario.fleet, site, found),
    )
    calls = []
    for n, call in enumerate(scenario.calls):
        try:
            calls.append(parse_call(call, case.book, base.outlook.grid.start, source="what-if"))
        except InvalidDocument as refused:
            found += [DocumentFault(joined_path("calls", n, f.path), f.text) for f in refused.faults]
    if found:
        raise InvalidDocument(found)
    return replace(case, so_far=replace(case.so_far, calls=(*case.so_far.calls, *calls)))


def _grid(baseline: Baseline, asked: BaseRequest) -> Grid:
    start = asked.since or baseline.at
    end = asked.until
    if end is None:
        return ladder.plan_grid(start, asked.control_interval_min, asked.horizon_h)
    if end <= start:
        raise InvalidDocument([DocumentFault("to", f"the span is empty: it starts at {iso(start)} and ends at {iso(end)}")])
    if end - start > MAX_SPAN:
        raise InvalidDocument(
            [
                DocumentFault(
                    "to", f"the span is {(end - start) / timedelta(days=1):.1f} days long; a what-if covers at most {MAX_SPAN.days} days"
                )
            ]
        )
    hours = -(-int((end - start).total_seconds()) // 3600)
    full_hours = ladder.plan_grid(start, asked.control_interval_min, hours).edges
    stop = int(end.timestamp())
    return Grid(np.append(full_hours[full_hours < stop], stop))


def _site(site: Site, scenario: Scenario) -> Site:
    changes = scenario.site.model_dump(exclude_none=True) if scenario.site else {}
    changed: Site = changed_model(site, changes, "site") if changes else site
    return changed


def _book(baseline: Baseline, scenario: Scenario, found: list[DocumentFault]) -> Book:
    out: list[Obligation] = list(baseline.setup.book)
    for n, change in enumerate(scenario.book):
        try:
            out = _book_change(out, change, baseline, joined_path("book", n))
        except InvalidDocument as wrong:
            found += wrong.faults
    if scenario.rules_on is not None:
        out = [under_rules_of(scenario.rules_on, o) for o in out]
    fee = scenario.hash.pool_fee if scenario.hash else None
    if fee is None:
        return tuple(out)
    has_fee = [o.takes_pool_fee for o in out]
    if not any(has_fee):
        found.append(DocumentFault("hash.pool_fee", "no obligation of the site has a pool fee"))
    return tuple(changed_model(o, {"pool_fee": fee}, "hash") if has else o for o, has in zip(out, has_fee, strict=True))


def _book_change(book: list[Obligation], change: BookChange, baseline: Baseline, path: str) -> list[Obligation]:
    if change.add is not None:
        new = _new_obligation(change.add, baseline, joined_path(path, "add"))
        new = under_rules_of(change.rules_on, new) if change.rules_on else new
        if any(o.name == new.name for o in book):
            raise InvalidDocument([DocumentFault(joined_path(path, "add", "name"), f"the site already has an obligation {new.name!r}")])
        return [*book, new]
    key, name = ("drop", change.drop) if change.drop else ("change", change.change or "")
    old = next((o for o in book if o.name == name), None)
    if old is None:
        raise InvalidDocument(
            [
                DocumentFault(
                    joined_path(path, key), f"the site has no obligation {name!r}" + did_you_mean(name or "", [o.name for o in book])
                )
            ]
        )
    if key == "drop":
        return [o for o in book if o is not old]
    new = books.with_market_rules(changed_model(old, change.model_extra or {}, path))
    new = under_rules_of(change.rules_on, new) if change.rules_on else new
    return [new if o is old else o for o in book]


def under_rules_of(on: date, obligation: Obligation) -> Obligation:
    """The contract under the market's rules that hold on a day, as if they held on every day."""
    then = (r for r in market_rules.default_market_rules().dated() if r.holds(on))
    return obligation.with_rules([replace(r, from_=date.min, to=None) for r in then])


def _new_obligation(table: Mapping[str, Any], baseline: Baseline, path: str) -> Obligation:
    """An obligation of this site from a table like [[obligations]]. Raises InvalidDocument."""
    found, wrong = books.read_contracts([(0, table)])
    crossed = cross_references.cross_reference_faults({**baseline.setup.document, "obligations": [table]})
    wrong = [*wrong, *(f for f in crossed if f[0][:2] == ("obligations", 0))]
    if wrong:
        raise InvalidDocument(dict.fromkeys(DocumentFault(joined_path(path, *loc[2:]), text) for loc, text in wrong))
    return found[0]
