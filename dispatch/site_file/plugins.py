"""Entry points: what this distribution and its plug-ins offer, by the word a site file calls it. Built-ins come in no other way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any

from dispatch import ConfigError

SOURCES, HASHPRICES, OBLIGATIONS, DRIVERS = "markets.sources", "markets.hashprices", "optimizer.obligations", "dispatch.rigs"
METERS, FANS = "dispatch.meters", "dispatch.fans"


class Plugins(Mapping[str, type[Any]]):
    """The classes of a group by name; each is imported when it is asked for, and no sooner."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._points: dict[str, metadata.EntryPoint] = {}
        for point in metadata.entry_points(group=group):
            if point.name in self._points:
                raise ConfigError(
                    [f"plug-ins: {group}: {point.name!r} is offered twice, as {self._points[point.name].value} and {point.value}"]
                )
            self._points[point.name] = point
        if not self._points:
            raise ConfigError(
                [f"plug-ins: nothing is offered as {group}: install the distribution `loadstone`, a bare source tree is not enough"]
            )

    def __getitem__(self, name: str) -> type[Any]:
        """Raises KeyError for an unknown name, ConfigError when what is offered cannot be imported."""
        point = self._points[name]
        try:
            found: type[Any] = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError([f"plug-ins: {self._group}: {name!r} cannot be loaded from {point.value}: {error}"]) from None
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._points

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)


@cache
def offered(group: str) -> Plugins:
    """What is installed does not change while a process runs. Raises ConfigError."""
    return Plugins(group)
