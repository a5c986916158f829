"""Killing processes of a running site, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

from dispatch.entries import Commanded, RunStarted, unpack
from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.roster import addresses
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from tests.e2e.site import Site

ROLES = ("supervisor", "loop", "api", "rigs", "planner")


def newest_row(data: Path) -> dict[int, str]:
    """The newest row a reader can see, and its hash, which covers all rows before it."""
    journal = SqlJournal(open_ledger(data))
    seq, hash_ = journal.head
    return {seq: hash_} if seq else {}


def post_call(site: Site, secret: str, name: str, kind: str) -> set[str]:
    """The id of the posted call when the API acknowledged it, else an empty set."""
    call: dict[str, Any] = {"id": name if kind == "deploy" else "call-none", "obligation": "plant", "kind": kind}
    if kind == "deploy":
        call["mw_cap"] = 0.9
    try:
        reply = site.http.post(
            "/api/v1/calls", json=call, headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": f"{name}-{kind}"}
        )
    except Exception:
        return set()
    return {call["id"]} if reply.status_code in (200, 201, 202) else set()


def kill_process(site: Site, role: str) -> None:
    """Send SIGKILL to the process of a role; start a killed supervisor again, as an operator would."""
    pid = site.processes().get(role)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if role == "supervisor":
        assert site.process is not None
        site.process.wait(10)
        site.start()


def assert_at_most_one_effect_per_command(data: Path, journal: list[Any]) -> None:
    """Each change of a rig's mode has a command of its own: per rig, the changes are a subsequence of the orders."""
    ordered: dict[tuple[str, int], list[str]] = defaultdict(list)
    ids: set[str] = set()
    for entry in journal:
        if isinstance(entry, Commanded):
            for order in entry.orders:
                assert order.id not in ids
                ids.add(order.id)
                for rig in unpack(order.rigs):
                    ordered[order.group, rig].append(order.mode)
    places = rigs_by_address(journal)
    effects: dict[tuple[str, int], list[str]] = defaultdict(list)
    for line in (data / "rigs.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row.get("effective"):
            effects[places[row["rig"]]].append("sleep" if row["verb"] == "power_off" else "normal")
    assert effects
    for rig, modes in effects.items():
        left = iter(ordered[rig])
        assert all(mode in left for mode in modes), f"{rig}: {modes} does not follow from {ordered[rig]}"


def rigs_by_address(journal: list[Any]) -> dict[str, tuple[str, int]]:
    """Group and position by address, of every run: a run may have been given other addresses than the one before."""
    found = {}
    for entry in journal:
        if isinstance(entry, RunStarted):
            setup = setup_from_document(entry.config)
            for group in setup.site.groups:
                subnet = getattr(driver_settings(setup, group.name), "subnet", None)  # the rig that truly hashes keeps no log of its own
                for n, address in enumerate(addresses(subnet, group.rigs) if subnet else ()):
                    found[address] = (group.name, n)
    return found
