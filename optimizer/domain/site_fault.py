"""What is wrong with a contract on a site."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SiteFault:
    """What is wrong with a contract on this site. `key` leads to the value, in the contract's own table or in that of `group`."""

    text: str
    key: tuple[str | int, ...] = ()
    group: str | None = None
