"""offers: what the site offers to the market for an operating day, as a QSE uploads it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dispatch.commands import FINDINGS, WRONG, Config, Ended, Json, day, instant, ledger_folder, note, out
from dispatch.commands.plan import Archive, At, Remembered

if TYPE_CHECKING:
    from dispatch.offers.document import OffersDocument, OfferStep


def offers(
    config: Config,
    for_: Annotated[str, typer.Option("--for", metavar="DATE", help="Operating day of the market, such as 2026-08-21.")],
    archive: Archive = None,
    at: At = None,
    data: Remembered = None,
    risk: Annotated[float, typer.Option("--risk", metavar="WEIGHT", help="Weight of the worst price scenarios, 0 to 1.")] = 0.0,
    folder: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the offers here as JSON and CSV.")] = None,
    as_json: Json = False,
) -> None:
    """Offer reserve, bid for energy and state season quantities for an operating day."""
    from dispatch.offers.make import Offering
    from dispatch.offers.make import offers as make_offers
    from dispatch.offers.proved import Proof, newest_certificate
    from dispatch.offers.write import write_offers
    from dispatch.runtime.gathered_inputs import gather_inputs
    from dispatch.runtime.measured_sheds import measured_sheds
    from dispatch.signals.documents import InvalidDocument

    if not 0 <= risk <= 1:
        raise Ended(WRONG, f"--risk: {risk:g} is not between 0 and 1")
    on, data = day(for_, "--for"), ledger_folder(data)
    found = gather_inputs(config, archive, instant(at, "--at") if at else _before_the_gate(config, on), data)
    keys = found.setup.reports.certificate_keys
    proof = Proof(found.setup.site, measured_sheds(data, found.at), newest_certificate(data, keys)) if data else Proof(found.setup.site)
    try:
        document = make_offers(Offering(found.state, found.at, on, proof, risk))
    except InvalidDocument as invalid:
        raise Ended(WRONG, *(f"--{fault}" for fault in invalid.faults)) from None
    if folder is not None:
        for file in write_offers(document, folder):
            note(f"wrote {file}")
    out(document, as_json, _lines(document))
    if document["findings"]:
        raise Ended(FINDINGS)


def _before_the_gate(config: Path, on: date) -> datetime | None:
    """A minute before offers of a day that is over were due; None, for now, where it is not over."""
    from dispatch.clock import wall_now
    from dispatch.site_file.load import load_site_file
    from markets.grid import Market, OperatingDay
    from optimizer.domain.day_ahead_market import offers_due

    setup = load_site_file(config)
    operating_day = OperatingDay(setup.site.market, on)
    if operating_day.end > wall_now() or setup.site.market is Market.TARIFF:
        return None
    return offers_due(setup.rules.dated(), setup.site.market, on) - timedelta(minutes=1)


def _lines(document: OffersDocument) -> list[str]:
    lines = [f"offers of {document['site']} for {document['operating_day']}, with what was known at {document['at']}"]
    lines += [f"{g['what']}: due {g['market_time']} market time, {'open' if g['open'] else 'CLOSED'}" for g in document["gates"]]
    for offer in document["reserve"]:
        lines.append(f"{offer['contract']} {offer['product']} ({offer['basis']}), $ per MW and hour:")
        lines += [f"  HE{hour['hour_ending']:02d}  {_steps(hour['steps'])}" for hour in offer["hours"]]
    for bid in document["energy"]:
        lines.append(f"energy at meter {bid['meter']} ({bid['settlement_point']}), $/MWh:")
        lines += [f"  HE{hour['hour_ending']:02d}  {_steps(hour['steps'])}" for hour in bid["hours"]]
    for row in document["seasons"]:
        period = f" {row['period']}" if row["period"] else ""
        lines.append(
            f"{row['contract']} {row['product']}{period}, {row['begins']} to {row['ends']}: {row['mw']:g} MW over {row['hours']:g} h "
            f"({row['basis']}; {row['registered_mw']:g} MW in the site file)"
        )
    return [*lines, *document["findings"]]


def _steps(steps: list[OfferStep]) -> str:
    return "  ".join(f"{step['mw']:.3f} MW {step['usd']:,.2f}" for step in steps) or "nothing"
