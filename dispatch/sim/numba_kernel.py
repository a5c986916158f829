"""Double SHA-256 of sixteen nonces at a time, compiled by numba without the interpreter's lock. Needs numba, which is not a dependency.

A block header is 80 bytes; its last four are the nonce. The first 64 are hashed once (the midstate), the rest for every nonce, and the
result once more. The kernel takes a span of nonces and returns those whose hash, read as a little-endian number, has its highest word at
or under a target's; the caller checks these few with hashlib. FIPS 180-4.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dispatch.sim.share_difficulty import BATCH, digest

Words = NDArray[np.uint32]

MOST_FOUND = 64


def _primes(n: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < n:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def _root_bits(prime: int, power: int) -> int:
    """The first 32 bits of the fraction of a prime's square or cube root, exactly."""
    scaled, low, high = prime << (32 * power), 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        if middle**power <= scaled:
            low = middle
        else:
            high = middle - 1
    return low & 0xFFFFFFFF


_K = np.array([_root_bits(p, 3) for p in _primes(64)], np.uint32)
_H = np.array([_root_bits(p, 2) for p in _primes(8)], np.uint32)


@njit(inline="always")
def _turn(x: Any, n: int) -> Any:
    return np.uint32((x >> np.uint32(n)) | (x << np.uint32(32 - n)))


@njit(nogil=True, cache=False)
def _compress(state: Words, words: Words, out: Words, k: Words) -> None:
    """One round function over sixteen lanes: `state` (8, L), `words` (64, L) of which 16 are given, `out` (8, L)."""
    lanes = state.shape[1]
    for t in range(16, 64):
        for i in range(lanes):
            a, b = words[t - 15, i], words[t - 2, i]
            s0 = np.uint32(_turn(a, 7) ^ _turn(a, 18) ^ np.uint32(a >> np.uint32(3)))
            s1 = np.uint32(_turn(b, 17) ^ _turn(b, 19) ^ np.uint32(b >> np.uint32(10)))
            # Every sum is cut to 32 bits at once: numba widens uint32 + uint32 to 64.
            words[t, i] = np.uint32(np.uint32(words[t - 16, i] + s0) + np.uint32(words[t - 7, i] + s1))
    for j in range(8):
        for i in range(lanes):
            out[j, i] = state[j, i]
    for t in range(64):
        for i in range(lanes):
            a, e = out[0, i], out[4, i]
            s1 = np.uint32(_turn(e, 6) ^ _turn(e, 11) ^ _turn(e, 25))
            choice = np.uint32((e & out[5, i]) ^ (np.uint32(~e) & out[6, i]))
            one = np.uint32(np.uint32(np.uint32(out[7, i] + s1) + choice) + np.uint32(k[t] + words[t, i]))
            s0 = np.uint32(_turn(a, 2) ^ _turn(a, 13) ^ _turn(a, 22))
            most = np.uint32((a & out[1, i]) ^ (a & out[2, i]) ^ (out[1, i] & out[2, i]))
            two = np.uint32(s0 + most)
            out[7, i], out[6, i], out[5, i] = out[6, i], out[5, i], e
            out[4, i] = np.uint32(out[3, i] + one)
            out[3, i], out[2, i], out[1, i] = out[2, i], out[1, i], a
            out[0, i] = np.uint32(one + two)
    for j in range(8):
        for i in range(lanes):
            out[j, i] = np.uint32(out[j, i] + state[j, i])


@njit(nogil=True, cache=False)
def _span(midstate: Words, tail: Words, first: int, batches: int, top: int, k: Words, h: Words, found: Words) -> int:
    """Hash `batches` times sixteen nonces from `first`; those whose hash has its highest word at or under `top` go to `found`."""
    lanes = 16
    words, second = np.zeros((64, lanes), np.uint32), np.zeros((64, lanes), np.uint32)
    start, initial = np.zeros((8, lanes), np.uint32), np.zeros((8, lanes), np.uint32)
    out, last = np.zeros((8, lanes), np.uint32), np.zeros((8, lanes), np.uint32)
    for j in range(8):
        for i in range(lanes):
            start[j, i], initial[j, i] = midstate[j], h[j]
    n = 0
    for batch in range(batches):
        for i in range(lanes):
            nonce = np.uint32(first + batch * lanes + i)
            for j in range(3):
                words[j, i] = tail[j]
            swapped = np.uint32((nonce & np.uint32(0xFF)) << np.uint32(24)) | np.uint32((nonce & np.uint32(0xFF00)) << np.uint32(8))
            words[3, i] = swapped | np.uint32((nonce >> np.uint32(8)) & np.uint32(0xFF00)) | np.uint32(nonce >> np.uint32(24))
            words[4, i] = np.uint32(0x80000000)
            for j in range(5, 15):
                words[j, i] = np.uint32(0)
            words[15, i] = np.uint32(640)
        _compress(start, words, out, k)
        for i in range(lanes):
            for j in range(8):
                second[j, i] = out[j, i]
            second[8, i] = np.uint32(0x80000000)
            for j in range(9, 15):
                second[j, i] = np.uint32(0)
            second[15, i] = np.uint32(256)
        _compress(initial, second, last, k)
        for i in range(lanes):
            w = last[7, i]
            high = np.uint32((w & np.uint32(0xFF)) << np.uint32(24)) | np.uint32((w & np.uint32(0xFF00)) << np.uint32(8))
            high = high | np.uint32((w >> np.uint32(8)) & np.uint32(0xFF00)) | np.uint32(w >> np.uint32(24))
            if high <= top and n < found.shape[0]:
                found[n] = np.uint32(first + batch * lanes + i)
                n += 1
    return n


def _words(data: bytes) -> Words:
    return np.frombuffer(data, ">u4").astype(np.uint32)


def midstate(block: bytes) -> Words:
    """The state after a header's first 64 bytes, shape (8,)."""
    words, start, out = np.zeros((64, 1), np.uint32), _H.reshape(8, 1).copy(), np.zeros((8, 1), np.uint32)
    words[:16, 0] = _words(block[:64])
    _compress(start, words, out, _K)
    return out[:, 0].copy()


def search(prefix: bytes, first: int, nonces: int, target: int) -> list[int]:
    """The nonces in [first, first + nonces), a multiple of sixteen, with which a header of these 76 bytes hashes to at most `target`.

    Beyond `MOST_FOUND` of them the rest is let go: the span is too long for the target.
    """
    found = np.zeros(MOST_FOUND, np.uint32)
    n = _span(midstate(prefix), _words(prefix[64:76]), first, nonces // BATCH, target >> 224, _K, _H, found)
    candidates = found[:n].tolist()
    return [nonce for nonce in candidates if digest(prefix + struct.pack("<I", nonce)) <= target]
