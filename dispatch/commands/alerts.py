"""alerts: who gets a message when something is wrong."""

from __future__ import annotations

import typer

from dispatch.commands import FINDINGS, WRONG, Config, Ended, Json, out

alerts = typer.Typer(no_args_is_help=True, help="Alerts: who gets a message when something is wrong.")


@alerts.callback()
def _group() -> None:
    """Keeps `test` a command of its own."""


@alerts.command()
def test(config: Config, as_json: Json = False) -> None:
    """Send a test message to every address of [alerts] and [reports] notify, and say which of them took it."""
    from dispatch.alerting.send import send
    from dispatch.site_file.load import load_site_file

    setup = load_site_file(config)
    addresses = tuple(dict.fromkeys([*setup.alerts.to, *setup.reports.notify]))
    if not addresses:
        raise Ended(WRONG, f"{config}: alerts.to and reports.notify name no address")
    outcomes = send(f"{setup.site.name}: test", "Alerts of this site reach you.", addresses, setup.resolve)
    lines = [f"{reference}: {'taken' if reason is None else 'not sent' + reason}" for reference, reason in outcomes.items()]
    out({"sent": {reference: reason is None for reference, reason in outcomes.items()}}, as_json, lines)
    if any(reason is not None for reason in outcomes.values()):
        raise Ended(FINDINGS)
