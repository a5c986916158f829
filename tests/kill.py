"""`python -m tests.kill [ROUNDS]`: SIGKILL to a random process of a running site, again and again: nothing acknowledged is lost, no command
has two effects, and the site is back in command within ten seconds. `--leaders N` kills and pauses leaders of ledgers instead."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from dispatch.entries import Seen
from dispatch.store.journal import SqlJournal
from dispatch.store.tables import open_ledger
from dispatch.store.verify import verify
from markets.facts import Call
from tests.e2e.kills import ROLES, assert_at_most_one_effect_per_command, kill_process, newest_row, post_call
from tests.e2e.site import Site, run_json, running_site
from tests.takeover import WITHIN_S, take_over

BACK_WITHIN_S = 10.0
ROUNDS, LEADERS = 200, 20


@dataclass(slots=True)
class Kills:
    """What came of rounds of kills: by role, the seconds from the kill to the journal's next row; how many calls were acknowledged."""

    back_s: dict[str, list[float]] = field(default_factory=dict)
    acknowledged: int = 0

    @property
    def slowest_s(self) -> float:
        """The longest that the site was not in command, seconds."""
        return max(max(each) for each in self.back_s.values())


def kill_rounds(data: Path, rounds: int) -> Kills:
    """Kill processes of a site so many times. Raises AssertionError when something acknowledged is lost or happens twice."""
    dice, kills = random.Random(rounds), Kills()
    secret = run_json("keys", "add", "qse", "--scope", "dispatch", "--data", data)["secret"]
    seen_rows: dict[int, str] = {}
    posted: set[str] = set()
    with running_site(data, "--speed", "240", "--seed", "3") as site:
        site.wait("a plan", lambda: site.get("state")["plan_age_s"] is not None)
        for n in range(rounds):
            seen_rows |= newest_row(data)
            posted |= post_call(site, secret, f"call-{n}", "deploy" if n % 2 == 0 else "recall")
            time.sleep(dice.uniform(0.0, 2.0))
            role = ROLES[n % len(ROLES)] if n < len(ROLES) else dice.choice(ROLES)
            kill_process(site, role)
            kills.back_s.setdefault(role, []).append(back_in_command_s(site, data))
        back_in_command_s(site, data)
    kills.acknowledged = len(posted)
    _check(data, seen_rows, posted)
    return kills


def back_in_command_s(site: Site, data: Path) -> float:
    """Seconds until the journal has a new row; then wait until the API answers."""
    journal, began_s = SqlJournal(open_ledger(data)), time.monotonic()
    before = journal.head[0]
    while journal.head[0] == before and time.monotonic() - began_s < 60:
        time.sleep(0.05)
    taken_s = time.monotonic() - began_s
    assert taken_s < 60, site.tail()
    site.wait("the API to follow", lambda: site.get("state")["at"], 60)
    return taken_s


def _check(data: Path, seen_rows: dict[int, str], posted: set[str]) -> None:
    left = SqlJournal(open_ledger(data))
    assert seen_rows and {seq: left.hash_at(seq) for seq in seen_rows} == seen_rows
    assert not verify(open_ledger(data)).findings
    assert run_json("redecide", data)["findings"] == []
    journal = [entry for _, entry in SqlJournal(open_ledger(data)).read()]
    journaled = {f.id for e in journal if isinstance(e, Seen) for f in e.facts if isinstance(f, Call)}
    assert posted and posted <= journaled
    assert_at_most_one_effect_per_command(data, journal)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    parser.add_argument("--leaders", type=int, nargs="?", const=LEADERS, help="leaders to kill and pause instead")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="loadstone-kill-") as folder:
        return _leaders(Path(folder), options.leaders) if options.leaders else _rounds(Path(folder), options.rounds)


def _rounds(folder: Path, rounds: int) -> int:
    kills = kill_rounds(folder / "data", rounds)
    for role, seconds in sorted(kills.back_s.items()):
        print(
            f"{role:10} {len(seconds):4d} kills, back in command after {median(seconds):.1f} s in the median, {max(seconds):.1f} s at most"
        )
    print(f"{rounds} rounds: {kills.acknowledged} acknowledged calls, none lost, none twice; slowest {kills.slowest_s:.1f} s")
    return 0 if kills.slowest_s <= BACK_WITHIN_S else 1


def _leaders(folder: Path, number: int) -> int:
    found = [take_over(folder / str(n), paused=n % 2 == 0) for n in range(number)]
    good = sum(each.seconds <= WITHIN_S for each in found)
    slowest_s = max(each.seconds for each in found)
    print(f"{good} of {number} leaders followed within {WITHIN_S:g} s, slowest {slowest_s:.2f} s; those that woke wrote nothing")
    return 0 if good == number else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
