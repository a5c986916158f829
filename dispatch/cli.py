"""The `loadstone` program: its commands, and the exit status of each outcome.

Exit status: 0 done; 1 done, with findings; 2 the command line, a file or the site file is wrong; 3 something outside failed.
"""

from __future__ import annotations

import sys

import typer

from dispatch import ConfigError
from dispatch.commands import FAILED, FINDINGS, WRONG, Ended, note
from dispatch.commands.alerts import alerts
from dispatch.commands.backtest import backtest
from dispatch.commands.certificate import certificate
from dispatch.commands.doctor import doctor
from dispatch.commands.imports import meter, reconcile
from dispatch.commands.init import init
from dispatch.commands.integrity import archive, backup, redecide, restore, verify
from dispatch.commands.manual import hold, resume, stop
from dispatch.commands.offers import offers
from dispatch.commands.peaks import peaks
from dispatch.commands.plan import check, plan, what_if
from dispatch.commands.rehearse import rehearse
from dispatch.commands.rigs import rigs
from dispatch.commands.run import replay, run, shadow
from dispatch.commands.settle import settle
from dispatch.commands.signals import awards, calls, keys
from dispatch.commands.strategies import strategies
from dispatch.commands.train import train
from dispatch.service.logs import logs_to_stderr

app = typer.Typer(
    name="loadstone",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Runs a Bitcoin-mining site as a flexible load in ERCOT or MISO.",
)
app.callback()(logs_to_stderr)
OF_A_SITE = (run, shadow, replay, stop, resume, settle, strategies, peaks, reconcile, certificate)
for command in (init, doctor, *OF_A_SITE, plan, backtest, offers, check, verify, redecide, backup, restore, train, rehearse):
    app.command()(command)
app.command("what-if")(what_if)
for name, group in {
    "archive": archive,
    "rigs": rigs,
    "meter": meter,
    "calls": calls,
    "awards": awards,
    "hold": hold,
    "keys": keys,
    "alerts": alerts,
}.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Run the program and exit with its status."""
    sys.exit(_status())


def _status() -> int:
    try:
        app(standalone_mode=False)
    except Ended as ended:
        for line in ended.lines:
            note(line)
        return ended.status
    except ConfigError as error:
        for fault in error.faults:
            note(fault)
        return WRONG
    except typer.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as fault:
        return _failed(fault)
    return 0


def _failed(fault: Exception) -> int:
    # Imported here, because only a failed command needs it and --help must be fast.
    from dispatch.store import JournalBroken, JournalLost, LedgerUnavailable
    from markets import SourceError

    if (show := getattr(fault, "show", None)) is not None:  # a usage error of typer; its class is not the same in all versions
        show()
        return WRONG
    if isinstance(fault, JournalBroken):
        note(str(fault))
        return FINDINGS
    if isinstance(fault, FileNotFoundError | NotADirectoryError | IsADirectoryError | FileExistsError | PermissionError):
        note(f"{fault.filename}: {fault.strerror}" if fault.filename else str(fault))
        return WRONG
    if isinstance(fault, JournalLost | LedgerUnavailable | SourceError | OSError):
        note(f"{_failed_part(fault)}: {fault}")
        return FAILED
    raise fault


def _failed_part(fault: Exception) -> str:
    from markets import SourceError, UnknownPrice

    if isinstance(fault, UnknownPrice):
        return "no plan is made"
    if isinstance(fault, SourceError):
        return "a source of prices or hash economics failed"
    return "the operating system refused" if isinstance(fault, OSError) else "the ledger does not respond"


if __name__ == "__main__":
    main()
