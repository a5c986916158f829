"""Stratum V1 as both sides speak it: lines of JSON, jobs, and the block header a share stands for. No sockets, no clock.

    client  mining.subscribe [], mining.authorize [worker, password], mining.submit [worker, job, extranonce2, ntime, nonce]
    pool    mining.set_difficulty [difficulty], mining.notify [job, prevhash, coinb1, coinb2, branch, version, nbits, ntime, clean]

Source: the protocol's de-facto description, Bitcoin wiki "Stratum mining protocol"; words of `prevhash` are byte-swapped on the line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

MOST_EXTRANONCE2_BYTES = 16
MAX_LINE = 16_384


class PoolRefusal(IntEnum):
    """Why a pool takes no share."""

    OTHER = 20
    JOB_NOT_FOUND = 21
    DUPLICATE = 22
    LOW_DIFFICULTY = 23
    UNAUTHORIZED = 24


class StratumError(ValueError):
    """These bytes are no line of the protocol."""


@dataclass(frozen=True, slots=True)
class MiningJob:
    """Work as `mining.notify` sends it; hex as on the line."""

    id: str
    prevhash: str
    coinb1: str
    coinb2: str
    branch: tuple[str, ...]
    version: str
    nbits: str
    ntime: str

    def params(self, clean: bool) -> list[Any]:
        """The parameters of `mining.notify`; `clean` tells miners to drop older jobs."""
        return [self.id, self.prevhash, self.coinb1, self.coinb2, list(self.branch), self.version, self.nbits, self.ntime, clean]

    @classmethod
    def of(cls, params: Sequence[Any]) -> MiningJob:
        """Raises StratumError."""
        try:
            id_, prevhash, coinb1, coinb2, branch, version, nbits, ntime = params[:8]
            return cls(str(id_), prevhash, coinb1, coinb2, tuple(branch), version, nbits, ntime)
        except (TypeError, ValueError):
            raise StratumError("not a job") from None

    def header(self, extranonce1: str, extranonce2: str, ntime: str | None = None) -> bytes:
        """The first 76 bytes of the block header, all but the nonce. Raises StratumError."""
        try:
            root = _twice(bytes.fromhex(self.coinb1 + extranonce1 + extranonce2 + self.coinb2))
            for other in self.branch:
                root = _twice(root + bytes.fromhex(other))
            words = bytes.fromhex(self.prevhash)
            before = b"".join(words[k : k + 4][::-1] for k in range(0, 32, 4))
            rest = bytes.fromhex(ntime or self.ntime)[::-1] + bytes.fromhex(self.nbits)[::-1]
            header = bytes.fromhex(self.version)[::-1] + before + root + rest
        except ValueError:
            raise StratumError("not hex") from None
        if len(header) != 76:
            raise StratumError("a header has 76 bytes before its nonce")
        return header


def line(**document: Any) -> bytes:
    """A message as one line of JSON."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def request(id_: int, method: str, *params: Any) -> bytes:
    """Client: a question."""
    return line(id=id_, method=method, params=list(params))


def notice(method: str, params: Sequence[Any]) -> bytes:
    """Pool: something nobody asked for."""
    return line(id=None, method=method, params=list(params))


def answer(id_: Any, result: Any) -> bytes:
    """Pool: an answer."""
    return line(id=id_, result=result, error=None)


def refused(id_: Any, why: PoolRefusal, text: str) -> bytes:
    """Pool: no."""
    return line(id=id_, result=None, error=[int(why), text, None])


def subscription(document: Mapping[str, Any]) -> tuple[str, int]:
    """Client: extranonce1, and how many bytes extranonce2 must have, of the answer to `mining.subscribe`. Raises StratumError."""
    try:
        _, extranonce1, size = document["result"][:3]
        if not 0 < int(size) <= MOST_EXTRANONCE2_BYTES:
            raise ValueError(size)
        return str(extranonce1), int(size)
    except (LookupError, TypeError, ValueError):
        raise StratumError("no subscription") from None


def parse(data: bytes) -> Mapping[str, Any]:
    """A line. Raises StratumError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise StratumError("not JSON") from None
    if not isinstance(document, dict):
        raise StratumError("not a JSON object")
    return document


def _twice(data: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()
