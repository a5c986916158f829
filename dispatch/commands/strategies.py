"""strategies: a settled day under other strategies, on simulated rigs and without physics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch.commands import WRONG, Data, Ended, Json, day, ledger, out, setup_of_ledger, usd

if TYPE_CHECKING:
    from dispatch.settlement.fleet_strategies import FleetComparison

Day = Annotated[str, typer.Argument(metavar="DATE", help="Operating day (YYYY-MM-DD), or `latest`.")]


def strategies(date_: Day, data: Data = Path("data"), as_json: Json = False) -> None:
    """What other strategies would have earned on a day with the same rigs: each on simulated rigs, with its ideal figure beside it."""
    from dispatch.settlement.fleet_strategies import compared_on_fleet
    from dispatch.settlement.measured_day import measure_day
    from dispatch.settlement.requested_days import newest_day
    from dispatch.store.telemetry import Telemetry
    from markets.grid import OperatingDay

    asked = None if date_ == "latest" else day(date_, "DATE")
    engine = ledger(data)
    setup = setup_of_ledger(engine)
    try:
        on = asked or newest_day(engine, setup.site.market)
        measured = measure_day(engine, Telemetry(data / "telemetry", setup.site), OperatingDay(setup.site.market, on), setup, None)
    except LookupError as error:
        raise Ended(WRONG, f"{date_}: {error.args[0] if error.args else error}") from None
    found = compared_on_fleet(measured)
    out(dict(found), as_json, _lines(found))


def _lines(found: FleetComparison) -> list[str]:
    """Each strategy on simulated rigs and without physics, and both gaps by cause."""
    lines = [f"{found['date']}: earned {_usd(found['net_usd'])}", f"{'strategy':<20}{'simulated rigs':>16}{'ideal':>16}{'starts':>10}"]
    for name, ideal in found["ideal_strategies"].items():
        real = found["strategies"].get(name)
        lines.append(
            f"{name:<20}{_usd(real['net_usd'] if real else None):>16}{_usd(ideal['net_usd']):>16}{real['starts'] if real else '-':>10}"
        )
    ideal_usd = {row["cause"]: row["usd"] for row in found["ideal_foresight_gap"]}
    if found["foresight_gap"]:
        lines.append("gap to perfect foresight, by cause:")
        lines += [f"  {r['cause']:<18}{_usd(r['usd']):>16}{_usd(ideal_usd.get(r['cause'])):>16}" for r in found["foresight_gap"]]
    return [*lines, *found["notes"]]


def _usd(amount: str | None) -> str:
    return "-" if amount is None else usd(amount)
