"""The global stop over HTTP, ordered and ended once for each idempotency key."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Literal

from dispatch.clock import wall_now
from dispatch.store.inbox import IdempotencyConflict
from dispatch.store.stop_file import StopFile

KEPT = 1000
Move = Literal["order", "end"]


@dataclass(frozen=True, slots=True)
class StopAnswer:
    """What a request to order or end the stop was answered; `repeated` when an earlier request had the same key."""

    in_force: bool
    by: str | None
    repeated: bool = False


class StopAnswers:
    """Orders and ends the stop of a data folder. The newest answers are kept in memory by the API key's name and the idempotency key, as
    the stop must work without the ledger: a request that is sent again neither stops a site that was started since nor starts a
    stopped one."""

    def __init__(self, data_dir: Path) -> None:
        self._file = StopFile(data_dir)
        self._answers: OrderedDict[tuple[str, str], tuple[Move, StopAnswer]] = OrderedDict()
        self._lock = Lock()

    def answer(self, move: Move, key_name: str, idempotency_key: str | None) -> StopAnswer:
        """Order or end the stop. Raises IdempotencyConflict for a key that was used for the other; OSError."""
        if idempotency_key is None:
            return self._done(move, key_name)
        with self._lock:
            known = self._answers.get((key_name, idempotency_key))
            if known is not None:
                if known[0] != move:
                    raise IdempotencyConflict(f"idempotency key {idempotency_key!r} was used to {known[0]} a stop")
                return replace(known[1], repeated=True)
            found = self._done(move, key_name)
            self._answers[key_name, idempotency_key] = (move, found)
            while len(self._answers) > KEPT:
                self._answers.popitem(last=False)
            return found

    def _done(self, move: Move, key_name: str) -> StopAnswer:
        if move == "order":
            return StopAnswer(True, self._file.order(wall_now(), key_name).by)
        ended = self._file.resume()
        return StopAnswer(False, ended.by if ended else None)
