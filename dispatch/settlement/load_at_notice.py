"""The metered load before the notice of each call, from which a reduction is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Engine

from dispatch.settlement.generation import generation_in_rollups
from dispatch.settlement.metering import metered_load
from dispatch.settlement.outside_air import temperatures_c, temperatures_seen
from dispatch.settlement.rollups import load_by_cohort
from dispatch.site_file.setup import Setup
from dispatch.store.rollups import read_rollups
from markets.facts import Call
from markets.grid import Grid, Interval
from optimizer.domain.book import generators_by_meter


def loads_at_notice(
    engine: Engine, setup: Setup, calls: Sequence[Call], grid: Grid, energy_mwh: Mapping[str, Sequence[Decimal]], known_at: datetime | None
) -> dict[str, float]:
    """By call id, the metered load of the called contract's scope in the last full interval before the notice, MW: of the grid, else as the
    ledger has it. Left out where nobody metered it. Raises LedgerUnavailable."""
    scopes = {o.name: o.scope.names(setup.site) for o in setup.book}
    loads: dict[str, float] = {}
    for call in calls:
        if call.obligation not in scopes:
            continue
        at = grid.index(call.notice_at) - 1 if call.notice_at in grid.over else -1
        if at >= 0:
            mwh, hours = sum((energy_mwh[group][at] for group in scopes[call.obligation]), Decimal(0)), grid.intervals[at].hours
        elif call.mw_delta is not None and call.start_at < grid.end and (call.end_at is None or call.end_at > grid.start):
            mwh, hours = _before_grid(engine, setup, call, scopes[call.obligation], known_at)
        else:
            continue
        if not mwh.is_nan():
            loads.setdefault(call.id, float(mwh) / hours)
    return loads


def _before_grid(engine: Engine, setup: Setup, call: Call, names: Sequence[str], known_at: datetime | None) -> tuple[Decimal, float]:
    """MWh of some groups in the settlement interval that ended last before a call's notice, and its hours."""
    site, step_s = setup.site, setup.site.market.settlement_min * 60
    end = call.notice_at - timedelta(seconds=call.notice_at.timestamp() % step_s)
    over = Interval(end - timedelta(seconds=step_s), end)
    grid, behind = Grid.regular(over.start, over.end, site.market.settlement_min), generators_by_meter(setup.book, site)
    _, energy, _ = load_by_cohort(engine, site, None, grid, temperatures_c(temperatures_seen(engine, over, known_at), grid))
    machines = [made.name for there in behind.values() for made in there]
    rows = {(r.group, r.over.start): r for r in read_rollups(engine, over, site.market.settlement_min, machines)} if machines else {}
    made = generation_in_rollups(setup, rows, grid)
    telemetry = {g: list(values) for g, values in energy.items()}
    metered = metered_load(engine, site, grid, known_at, telemetry, (behind, made), frozenset()).energy_mwh
    return sum((metered[name][0] for name in names), Decimal(0)), over.hours
