"""The commands of the contract.

Exit status: 0 done; 1 done, with findings; 2 the call, a file or the config is wrong; 3 something outside failed.
"""

from __future__ import annotations

import sys

import typer

from dispatch import ConfigError
from dispatch.commands import FAILED, FINDINGS, WRONG, Ended, logs_to_stderr, note
from dispatch.commands.imports import meter, reconcile
from dispatch.commands.integrity import archive, backup, redecide, restore, verify
from dispatch.commands.plan import check, plan, what_if
from dispatch.commands.rigs import rigs
from dispatch.commands.run import replay, run, shadow
from dispatch.commands.settle import settle
from dispatch.commands.signals import awards, calls, keys

app = typer.Typer(
    name="loadstone",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Runs a Bitcoin-mining site as a flexible load in ERCOT and MISO.",
)
for command in (run, shadow, replay, plan, settle, reconcile, check, verify, redecide, backup, restore):
    app.command()(command)
app.command("what-if")(what_if)
for name, room in {"archive": archive, "rigs": rigs, "meter": meter, "calls": calls, "awards": awards, "keys": keys}.items():
    app.add_typer(room, name=name)


def main() -> None:
    """The console script."""
    logs_to_stderr()
    sys.exit(_status())


def _status() -> int:
    # What is imported here is only needed when something went wrong.
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
    from dispatch.store import JournalBroken, JournalLost, LedgerUnavailable
    from markets import SourceError

    if (show := getattr(fault, "show", None)) is not None:  # the library's usage errors; their class has moved between its versions
        show()
        return WRONG
    if isinstance(fault, JournalBroken):
        note(str(fault))
        return FINDINGS
    if isinstance(fault, FileNotFoundError | NotADirectoryError | IsADirectoryError | FileExistsError | PermissionError):
        note(f"{fault.filename}: {fault.strerror}" if fault.filename else str(fault))
        return WRONG
    if isinstance(fault, JournalLost | LedgerUnavailable | SourceError | OSError):
        note(f"{type(fault).__name__}: {fault}")
        return FAILED
    raise fault


if __name__ == "__main__":
    main()
