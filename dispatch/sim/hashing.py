"""Real double SHA-256 on the CPU, nonce by nonce, with hashlib.

A block header is 80 bytes; its last four are the nonce. The first 64 are hashed once (the midstate) and copied for every nonce; the result
is hashed once more. Where numba is installed, `numba_kernel` does the same for sixteen nonces at a time; it is not a dependency.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

# What `search` takes: the first 76 bytes of a header, the first nonce, how many (a multiple of BATCH), and the target.
Search = Callable[[bytes, int, int, int], list[int]]


def search(prefix: bytes, first: int, nonces: int, target: int) -> list[int]:
    """The nonces in [first, first + nonces) with which a header of these 76 bytes hashes to at most `target`."""
    midstate, tail = hashlib.sha256(prefix[:64]), prefix[64:76]
    sha256, pack, copy = hashlib.sha256, struct.Struct("<I").pack, midstate.copy
    # The hash is a little-endian number: its last byte rules out nearly all of them.
    most = target >> 248
    found = []
    for nonce in range(first, first + nonces):
        one = copy()
        one.update(tail + pack(nonce))
        two = sha256(one.digest()).digest()
        if two[31] <= most and int.from_bytes(two, "little") <= target:
            found.append(nonce)
    return found


def fastest_search() -> Search:
    """The kernel of numba where that is installed, else hashlib."""
    try:
        from dispatch.sim.numba_kernel import search as compiled
    except ImportError:
        return search
    return compiled
