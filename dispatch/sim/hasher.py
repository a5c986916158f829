"""A thread that hashes at a given pace and stops within a twentieth of a second."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from dispatch.clock import wall_s
from dispatch.sim.hashing import fastest_search
from dispatch.sim.share_difficulty import BATCH, target_of
from dispatch.sim.stratum import MiningJob

SPAN_S = 0.05
NONCES = 2**32
FIRST_HASHES_PER_S = 1e5
# A pace is measured over at most this long, and never across an instant at which it was changed.
WINDOW_S = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """A job with what its connection adds to it; `extranonce2_bytes` is the length the pool asked for."""

    job: MiningJob
    extranonce1: str
    extranonce2_bytes: int
    difficulty: float


# extranonce2, ntime and nonce of a share, in hex, with its job's id
Found = Callable[[str, str, str, str], None]


class Hasher:
    """`found` is called from the thread for every share. Call `close` at the end."""

    def __init__(self, found: Found) -> None:
        self._found, self._work = found, None
        self._mhs = 0.0
        self._since_s = wall_s()
        self._done: list[tuple[float, int]] = []
        self._lock, self._changed, self._over = threading.Lock(), threading.Event(), False
        self._search = fastest_search()
        self._search(bytes(76), 0, BATCH, 0)  # compiled before anybody waits for it
        self._thread = threading.Thread(target=self._run, daemon=True, name="hasher")
        self._thread.start()

    _work: Work | None

    @property
    def since_s(self) -> float:
        """When the pace was last changed, monotonic seconds."""
        return self._since_s

    @property
    def mhs(self) -> float:
        """The pace that was set, millions of hashes a second."""
        return self._mhs

    def pace(self, mhs: float) -> None:
        """Hash at this pace from now on; zero stops."""
        with self._lock:
            if mhs != self._mhs:
                self._mhs, self._since_s, self._done = mhs, wall_s(), []
        self._changed.set()

    def give(self, work: Work | None) -> None:
        """Work on this job from now on; None stops."""
        self._work = work
        self._changed.set()

    def measured_mhs(self) -> float:
        """The pace that was kept, millions of hashes a second."""
        now = wall_s()
        with self._lock:
            self._done = [(at, n) for at, n in self._done if at >= now - WINDOW_S]
            # A span is worked off at its start and counts for all of it.
            return sum(n for _, n in self._done) / 1e6 / min(now - self._since_s + SPAN_S, WINDOW_S)

    def close(self) -> None:
        """Stop the thread."""
        self._over = True
        self._changed.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        current: Work | None = None
        extranonce2, nonce, due_s = "", NONCES, wall_s()
        # What this machine hashes in a second: a span is never longer than SPAN_S, whatever the pace, so that a stop is heeded.
        most_per_s = FIRST_HASHES_PER_S
        while not self._over:
            mhs, work = self._mhs, self._work
            if mhs <= 0 or work is None:
                self._changed.wait(1.0)
                self._changed.clear()
                due_s = wall_s()
                continue
            nonces = max(1, round(min(mhs * 1e6, most_per_s) * SPAN_S / BATCH)) * BATCH
            if work is not current or nonce + nonces > NONCES:
                current, nonce, extranonce2 = work, 0, secrets.token_hex(work.extranonce2_bytes)
                prefix, target = work.job.header(work.extranonce1, extranonce2), target_of(work.difficulty)
            began_s = wall_s()
            for hit in self._search(prefix, nonce, nonces, target):
                self._found(work.job.id, extranonce2, work.job.ntime, f"{hit:08x}")
            nonce += nonces
            most_per_s = nonces / max(wall_s() - began_s, 1e-4)
            with self._lock:
                if mhs == self._mhs:
                    self._done.append((wall_s(), nonces))
            # The pace is kept over time, not span by span; what a busy machine could not do is not made up for.
            due_s = max(due_s + nonces / (mhs * 1e6), wall_s() - SPAN_S)
            if (rest := due_s - wall_s()) > 0:
                self._changed.wait(rest)
                self._changed.clear()
