"""Limits on requests: how many a key may send in a minute, and how many wrong keys an address may try."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from dispatch.clock import wall_s

WINDOW_S = 60.0
REQUESTS_A_KEY = 6000
WRONG_KEYS_AN_ADDRESS = 20
DENIALS_LOGGED = 60  # of one address in a minute: a flood of requests is not a flood of log lines
MOST_NAMES = 10_000


class RateLimit:
    """At most `most` events of one name in `window_s` seconds, by a clock that nobody sets."""

    def __init__(self, most: int, window_s: float = WINDOW_S, monotonic_s: Callable[[], float] = wall_s) -> None:
        self._most, self._window_s, self._monotonic_s = most, window_s, monotonic_s
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def reached(self, name: str) -> bool:
        """Whether one more event of the name would be too many."""
        return len(self._recent(name)) >= self._most

    def count(self, name: str) -> None:
        """One more event of the name."""
        self._recent(name).append(self._monotonic_s())

    def _recent(self, name: str) -> deque[float]:
        events = self._events.setdefault(name, deque(maxlen=self._most))
        self._events.move_to_end(name)
        if len(self._events) > MOST_NAMES:  # an attacker with many addresses does not fill the memory
            self._events.popitem(last=False)
        while events and events[0] <= self._monotonic_s() - self._window_s:
            events.popleft()
        return events
