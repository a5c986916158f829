"""The machine under a site: its clock, its disk, the ledger and the permissions of its files, the address of API and page."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from dispatch.doctor import Check, CheckResult
from dispatch.store import JournalBroken, LedgerUnavailable
from dispatch.store.dialect import sqlite_engine
from dispatch.store.journal import SqlJournal
from dispatch.store.migrate import revision
from dispatch.store.start_check import start_faults
from dispatch.store.tables import REVISION, ledger_file, open_ledger, reading

NEEDED_BYTES, COMFORTABLE_BYTES = 500 * 2**20, 5 * 2**30
CLOCK_COMMAND = ("timedatectl", "show", "--property=NTPSynchronized", "--value")
CLOCK_S = 5.0
AHEAD = timedelta(seconds=5)


def machine_checks(data_dir: Path, now: datetime, published: Sequence[Path] = (), *, simulated_time: bool = False) -> Iterator[Check]:
    """Clock, disk, ledger and permissions of a data folder, which need not exist yet. `published` are files with published heads."""
    yield disk_check(data_dir)
    yield from _permission_checks(data_dir)
    yield from _ledger_checks(data_dir, now, published, simulated_time=simulated_time)
    yield clock_check()


def clock_check(command: Sequence[str] = CLOCK_COMMAND) -> Check:
    """Whether a time server sets the clock, as systemd says."""
    advice = "Let chrony or systemd-timesyncd set it: settlement intervals and calls are instants."
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=CLOCK_S, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    if said == "yes":
        return Check("clock", CheckResult.PASS, "A time server sets this machine's clock.")
    found = "No time server sets this machine's clock." if said == "no" else "Nothing here says whether a time server sets the clock."
    return Check("clock", CheckResult.WARN, found, advice)


def disk_check(data_dir: Path, free_bytes: int | None = None) -> Check:
    """Room on the disk of the data folder, which is asked for unless `free_bytes` says it."""
    there = next(folder for folder in (data_dir, *data_dir.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free if free_bytes is None else free_bytes
    found = f"{free / 1e9:,.1f} GB are free under {data_dir}."
    if free < NEEDED_BYTES:
        return Check("disk", CheckResult.FAIL, found, "Make room: a full disk stops new orders.")
    advice = "" if free >= COMFORTABLE_BYTES else "Make room before long: a year of a site takes tens of GB."
    return Check("disk", CheckResult.PASS if not advice else CheckResult.WARN, found, advice)


def address_check(what: str, listen: str) -> Check:
    """Whether this machine can listen at HOST:PORT."""
    host, _, port = listen.rpartition(":")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        return Check(what, CheckResult.WARN, f"{listen} cannot be listened on: {reason}.", "The site runs already, or change `listen`.")
    return Check(what, CheckResult.PASS, f"It can listen on {listen}.")


def _permission_checks(data_dir: Path) -> Iterator[Check]:
    if not data_dir.exists():
        yield Check("permissions", CheckResult.PASS, f"{data_dir} does not exist yet; the first run makes it.")
    elif not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        yield Check("permissions", CheckResult.FAIL, f"This user may not write to {data_dir}.", "Run as its owner, or change the owner.")
    elif data_dir.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH):
        advice = f"chmod 700 {data_dir}: only its owner is to read the ledger and the readings."
        yield Check("permissions", CheckResult.WARN, f"Every user of this machine may read {data_dir}.", advice)
    else:
        yield Check("permissions", CheckResult.PASS, f"Only its owner and group may read {data_dir}.")


def _ledger_checks(data_dir: Path, now: datetime, published: Sequence[Path], *, simulated_time: bool) -> Iterator[Check]:
    try:
        if (found := _other_version(data_dir)) is not None:
            yield Check("ledger", CheckResult.WARN, f"Its tables are of version {found}.", "The next run brings them up: back it up first.")
            return
        faults = start_faults(data_dir, published)
        if faults:
            yield Check("ledger", CheckResult.FAIL, "; ".join(faults), "Restore a backup: loadstone restore --help.")
        elif not ledger_file(data_dir).exists():
            yield Check("ledger", CheckResult.PASS, "There is none yet; the first run makes it.")
        else:
            yield from _last_row(data_dir, now, simulated_time=simulated_time)
    except (JournalBroken, LedgerUnavailable, OSError) as error:
        yield Check("ledger", CheckResult.FAIL, str(error), "See what else is wrong: loadstone verify; or restore a backup.")


def _other_version(data_dir: Path) -> str | None:
    """The version of a ledger's tables where it is not this program's, so that opening it would change them; None where it is, or without
    a ledger. Raises LedgerUnavailable."""
    file = ledger_file(data_dir)
    if not file.is_file():
        return None
    engine = sqlite_engine(file, 1.0)
    try:
        with reading(engine) as connection:
            found = revision(connection)
    finally:
        engine.dispose()
    return None if found == REVISION else found or "no known kind"


def _last_row(data_dir: Path, now: datetime, *, simulated_time: bool) -> Iterator[Check]:
    engine = open_ledger(data_dir)
    try:
        last = SqlJournal(engine).latest_at()
    finally:
        engine.dispose()
    found = "The chain of its newest rows is whole" + (f"; the last one is of {last:%Y-%m-%d %H:%MZ}." if last else ".")
    if last is not None and last > now + AHEAD and not simulated_time:
        advice = "Set this machine's clock before a start: it is behind the newest row of the journal."
        yield Check("ledger", CheckResult.WARN, found, advice)
    else:
        yield Check("ledger", CheckResult.PASS, found)
