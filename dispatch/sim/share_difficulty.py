"""Double SHA-256 by hashlib, and the target of a share difficulty."""

from __future__ import annotations

import hashlib

# The target of difficulty 1; 2^32 hashes on average find a share of it.
DIFF_1 = 0xFFFF << 208
HASHES_PER_DIFF = 2.0**32
# Nonces are searched in multiples of this: a compiled search hashes so many at a time.
BATCH = 16


def digest(header: bytes) -> int:
    """The double SHA-256 of a block header, as the number that is compared with a target."""
    return int.from_bytes(hashlib.sha256(hashlib.sha256(header).digest()).digest(), "little")


def target_of(difficulty: float) -> int:
    """The largest hash that is a share of a difficulty."""
    return min(int(DIFF_1 / difficulty), 2**256 - 1)
