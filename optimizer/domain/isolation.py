"""Failures of contracts: one that raises does not fail the plan. What it raised is kept under its name and reported as a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from optimizer.domain.money import Finding
from optimizer.domain.obligation import Obligation


@dataclass(slots=True)
class PluginFailures:
    """What contracts of a book raised, the first of each, by name."""

    by: dict[str, Exception] = field(default_factory=dict)

    @contextmanager
    def of(self, obligation: Obligation) -> Iterator[None]:
        """Whatever is raised inside is recorded under this contract's name."""
        try:
            yield
        except Exception as fault:  # a plug-in may raise anything
            self.by.setdefault(obligation.name, fault)

    def sound(self, book: Sequence[Obligation]) -> tuple[Obligation, ...]:
        """The contracts that have raised nothing so far."""
        return tuple(o for o in book if o.name not in self.by)

    def findings(self) -> tuple[Finding, ...]:
        return tuple(Finding("obligation", f"{name} failed and is left out: {fault!r}") for name, fault in self.by.items())
