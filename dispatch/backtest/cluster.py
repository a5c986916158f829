"""The workers of a Dask cluster as an Executor: the extra `dask`. They run the same code on the same folders, which they must see."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

CONNECT_S = 10.0


class ClusterUnreachable(Exception):
    """No Dask scheduler answers at the address, or Dask is not installed."""


@contextmanager
def dask_workers(address: str, connect_s: float = CONNECT_S) -> Iterator[Executor]:
    """The workers of the scheduler at `address`, such as tcp://10.0.0.7:8786, if it answers within `connect_s`. Raises
    ClusterUnreachable."""
    try:
        from distributed import Client
    except ImportError:
        raise ClusterUnreachable("dask is not installed: install Loadstone with its extra `dask`") from None
    try:
        client = Client(address, timeout=connect_s, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClusterUnreachable(f"no Dask scheduler answers at {address}: {error}") from None
    try:
        with client.get_executor(pure=False, retries=2) as executor:
            yield executor
    finally:
        client.close(timeout=connect_s)
