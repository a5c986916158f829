"""strategies: a settled day under other strategies, on simulated rigs and without physics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dispatch.commands import WRONG, Data, Ended, Json, day, ledger, out, setup_of_ledger

Day = Annotated[str, typer.Argument(metavar="DATE", help="Operating day (YYYY-MM-DD), or `latest`.")]


def strategies(date_: Day, data: Data = Path("data"), as_json: Json = False) -> None:
    """What other strategies would have earned on a day with the same rigs: each on simulated rigs, with its ideal figure beside it."""
    from dispatch.settlement.fleet_strategies import compared_on_fleet, table
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
    out(dict(found), as_json, table(found))
