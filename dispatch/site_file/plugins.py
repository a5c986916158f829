"""Plug-ins: the classes registered as entry points, by the name a site file uses. Built-in classes are registered the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any

from dispatch import ConfigError

SOURCES, HASHPRICES, GENERATION = "markets.sources", "markets.hashprices", "markets.generation"
WEATHER = "markets.weather"
OBLIGATIONS, DRIVERS = "optimizer.obligations", "dispatch.rigs"
METERS, COOLING, GENERATORS = "dispatch.meters", "dispatch.cooling", "dispatch.generators"
LINKS = "dispatch.links"


class Plugins(Mapping[str, type[Any]]):
    """The classes of an entry-point group by name; a class is imported when it is first looked up."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._points: dict[str, metadata.EntryPoint] = {}
        for point in metadata.entry_points(group=group):
            if point.name in self._points:
                raise ConfigError(
                    [f"plug-ins: {group}: {point.name!r} is registered twice, as {self._points[point.name].value} and {point.value}"]
                )
            self._points[point.name] = point
        if not self._points:
            raise ConfigError(
                [f"plug-ins: no class is registered as {group}: install the distribution `loadstone`, a bare source tree is not enough"]
            )

    def __getitem__(self, name: str) -> type[Any]:
        """Raises KeyError for an unknown name, ConfigError when its class cannot be imported."""
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
def installed(group: str) -> Plugins:
    """The classes registered for an entry-point group; read once a process. Raises ConfigError when there is none, or two of one name."""
    return Plugins(group)
