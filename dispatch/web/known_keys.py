"""Which key a request comes with: by its secret, or by the session of a person who signed in with it on the page."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from dispatch.clock import wall_s
from dispatch.web.errors import Refusal
from dispatch.web.limits import REQUESTS_A_KEY, WRONG_KEYS_AN_ADDRESS, RateLimit

SESSION_LASTS_S = 12 * 3600.0
SESSIONS_A_KEY = 20  # one more ends the oldest


class Key(Protocol):
    """A known API key."""

    @property
    def name(self) -> str: ...

    @property
    def scopes(self) -> Collection[str]: ...


Find = Callable[[str], Key | None]


@dataclass(frozen=True, slots=True)
class _Session:
    """Who signed in, and until when by a clock that nobody sets."""

    key_name: str
    until_s: float


class Sessions:
    """Sessions of people who signed in, by the SHA-256 of a random token that only the browser has. They are kept in memory: a restart of
    the API ends them all. Each use asks `key_named` again, so that a key that is revoked ends its sessions at once."""

    def __init__(self, key_named: Find, monotonic_s: Callable[[], float] = wall_s) -> None:
        self._key_named, self._monotonic_s = key_named, monotonic_s
        self._sessions: dict[str, _Session] = {}

    def begin(self, key_name: str) -> str:
        """A new session of a key; its token."""
        own = [hashed for hashed, session in self._sessions.items() if session.key_name == key_name]
        for hashed in own[: max(0, len(own) + 1 - SESSIONS_A_KEY)]:
            del self._sessions[hashed]
        token = secrets.token_urlsafe(32)
        self._sessions[_hashed(token)] = _Session(key_name, self._monotonic_s() + SESSION_LASTS_S)
        return token

    def key(self, token: str) -> Key | None:
        """The key of a session; None when there is no such session, when it is over, or when its key was revoked. Raises Refusal."""
        session = self._sessions.get(_hashed(token))
        if session is None:
            return None
        key = self._key_named(session.key_name) if self._monotonic_s() < session.until_s else None
        if key is None:
            self.end(token)
        return key

    def end(self, token: str) -> None:
        """End a session, where there is one."""
        self._sessions.pop(_hashed(token), None)


class KnownKeys:
    """Finds keys by secret and by session. An address that tries many wrong keys is refused, and so is a key that asks too often."""

    def __init__(self, check: Find, key_named: Find, monotonic_s: Callable[[], float] = wall_s) -> None:
        self._check, self._key_named = check, key_named
        self.sessions = Sessions(key_named, monotonic_s)
        self._requests, self._wrong_keys = RateLimit(REQUESTS_A_KEY), RateLimit(WRONG_KEYS_AN_ADDRESS)

    def by_secret(self, secret: str, address: str) -> Key | None:
        """The key with this secret, None when it is unknown or was revoked. Raises Refusal after many wrong ones, and for a key that asks
        too often."""
        key = self._check(secret)
        if key is not None:
            return self._counted(key)
        if self._wrong_keys.reached(address):
            raise Refusal(429, f"More than {WRONG_KEYS_AN_ADDRESS} wrong keys came from this address in a minute")
        self._wrong_keys.count(address)
        return None

    def by_session(self, token: str) -> Key | None:
        """The key of a session, None when it has ended. Nobody can guess a token, and an open page goes on asking with one that has ended:
        these count as no wrong keys. Raises Refusal."""
        key = self.sessions.key(token)
        return None if key is None else self._counted(key)

    def is_in_force(self, key: Key, token: str | None) -> bool:
        """Whether a key that was let in before, by a session where there is a `token`, would still be."""
        return (self.sessions.key(token) if token else self._key_named(key.name)) is not None

    def _counted(self, key: Key) -> Key:
        if self._requests.reached(key.name):
            raise Refusal(429, f"Key {key.name!r} sent more than {REQUESTS_A_KEY:,} requests in a minute")
        self._requests.count(key.name)
        return key


def _hashed(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
