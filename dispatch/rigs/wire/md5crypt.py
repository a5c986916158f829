"""crypt(3)'s $1$, which Whatsminers sign with. Source: FreeBSD, crypt-md5.c (Poul-Henning Kamp)."""

from __future__ import annotations

import hashlib

_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ORDER = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


def md5crypt(word: bytes, salt: bytes) -> str:
    """The 22 characters that crypt(3)'s $1$ writes after the salt."""
    other = hashlib.md5(word + salt + word, usedforsecurity=False).digest()
    first = word + b"$1$" + salt + (other * (len(word) // 16 + 1))[: len(word)]
    n = len(word)
    while n:
        first += b"\0" if n & 1 else word[:1]
        n >>= 1
    digest = hashlib.md5(first, usedforsecurity=False).digest()
    for n in range(1000):
        mixed = (word if n & 1 else digest) + (salt if n % 3 else b"") + (word if n % 7 else b"") + (digest if n & 1 else word)
        digest = hashlib.md5(mixed, usedforsecurity=False).digest()
    numbers = [(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _ORDER] + [(digest[11], 2)]
    return "".join(_DIGITS[(value >> 6 * k) & 63] for value, count in numbers for k in range(count))
