"""The fence of orders: whether this process may send an order now, asked anew before each request that leaves for a rig, a pump, a fan or
a generator.

A process that was paused while another took the lead must send nothing when it wakes, not even the rest of a wave that was under way. So
the question is asked where the bytes leave, below the drivers: in a context variable that `GuardedDriver` and `fenced_devices` set for
the requests of an order. Readings are never fenced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Why an order into a mode may not be sent now; empty when it may.
Fence = Callable[[str], str]


class OrderFenced(OSError):
    """The order may not be sent now: another process leads, or a stop is in force."""


_refusal: ContextVar[Callable[[], str] | None] = ContextVar("refusal", default=None)


def open_fence(mode: str) -> str:
    """Every order may be sent: for worlds in which no other process can lead."""
    return ""


@contextmanager
def fenced(fence: Fence, mode: str) -> Iterator[None]:
    """Requests made inside, and in tasks started inside, carry an order into `mode`."""
    token = _refusal.set(lambda: fence(mode))
    try:
        yield
    finally:
        _refusal.reset(token)


def check_fence() -> None:
    """Raises OrderFenced when the request at hand carries an order that may not be sent now."""
    refusal = _refusal.get()
    if refusal is not None and (why := refusal()):
        raise OrderFenced(why)
