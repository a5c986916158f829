"""SIGKILL to any process of a running site, at random: no acknowledged row is lost, no command has two effects, the site recovers."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from dispatch.entries import Commanded, RunStarted, Seen, unpack
from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.roster import addresses
from dispatch.site_file.load import setup_from_document
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.verify import verify
from markets.facts import Call
from tests.e2e.site import Site, run_json, run_loadstone, running_site

ROLES = ("supervisor", "loop", "api", "rigs", "planner")


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(6, marks=pytest.mark.slow(sample="only")),
        pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1500)]),
    ],
)
def test_site_survives_sigkill_of_any_process(rounds: int, tmp_path: Path) -> None:
    r = random.Random(rounds)
    data = tmp_path / "data"
    secret = run_json("keys", "add", "qse", "--scope", "dispatch", "--data", data)["secret"]
    seen_rows: dict[int, str] = {}
    posted: set[str] = set()
    with running_site(data, "--speed", "240", "--seed", "3") as site:
        site.wait("a plan", lambda: site.get("state")["plan_age_s"] is not None)
        for n in range(rounds):
            seen_rows |= newest_row(data)
            posted |= post_call(site, secret, f"call-{n}", "deploy" if n % 2 == 0 else "recall")
            time.sleep(r.uniform(0.0, 2.0))
            kill_process(site, ROLES[n % len(ROLES)] if n < len(ROLES) else r.choice(ROLES))
            wait_until_site_continues(site, data)
        wait_until_site_continues(site, data)
    journal_left = SqlJournal(open_ledger(data))
    assert seen_rows and {seq: journal_left.hash_at(seq) for seq in seen_rows} == seen_rows
    assert not verify(open_ledger(data)).findings
    assert run_json("redecide", data)["findings"] == []
    journal = [entry for _, entry in SqlJournal(open_ledger(data)).read()]
    journaled = {f.id for e in journal if isinstance(e, Seen) for f in e.facts if isinstance(f, Call)}
    assert posted and posted <= journaled
    assert_at_most_one_effect_per_command(data, journal)


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


def wait_until_site_continues(site: Site, data: Path) -> None:
    """Wait until the journal has a new row and the API answers."""
    journal = SqlJournal(open_ledger(data))
    before = journal.head[0]
    site.wait("the journal to go on", lambda: journal.head[0] > before, 60)
    site.wait("the API to follow", lambda: site.get("state")["at"], 60)


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


def test_verify_and_redecide_report_a_folder_without_a_ledger(tmp_path: Path) -> None:
    for command in ("verify", "redecide"):
        done = run_loadstone(command, tmp_path)
        assert done.returncode == 2 and "no ledger" in done.stderr
