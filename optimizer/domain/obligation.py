"""The contract interface: what every contract does, and every further ability with its default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self

from pydantic import Field, PrivateAttr

from markets.facts import Call
from markets.grid import Interval
from optimizer.domain.actuals import Actuals
from optimizer.domain.calls import called_bounds
from optimizer.domain.formula import Bounds, Charge, Quantities
from optimizer.domain.market_rules import Dated
from optimizer.domain.money import Line
from optimizer.domain.quantities import ActualQuantities, lines
from optimizer.domain.site import Scope, Site, Written


class Obligation(Protocol):
    """One contract. `bounds` insists now and ahead, `shape` adds it to a program, `settle` pays it."""

    name: str
    scope: Scope
    type: ClassVar[str]

    def bounds(self, site: Site, memory: Mapping[str, Any], calls: Sequence[Call], over: Interval) -> Bounds: ...

    def shape(self, program: Any) -> None: ...

    def settle(self, actuals: Actuals) -> Iterable[Line]: ...


Book = tuple[Obligation, ...]

LOAD_BEFORE_MW = "load_before_mw"


class Contract(Written):
    """An obligation whose money is a sum of charges. Calls addressed to its name are firm bounds on the load of its scope.

    scope   the part of the site it speaks of; the whole site by default
    """

    type: ClassVar[str]
    stands_on: ClassVar[tuple[str, ...]] = ()
    name: str = Field(min_length=1)
    scope: Scope = Scope()
    _rules: tuple[Dated, ...] = PrivateAttr(default=())

    def under(self, rules: Sequence[Dated]) -> Self:
        """The same contract under the market's dated rules: it keeps those whose id begins with a word of `stands_on`."""
        ruled = self.model_copy()
        ruled._rules = tuple(r for r in rules if self.stands_on and r.id.startswith(self.stands_on))
        return ruled

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        """The formula: quantities that follow load or hashrate, times rates that do not."""
        return ()

    def settles_energy(self, site: Site) -> Mapping[str, Interval | None]:
        """The groups whose energy this contract settles itself, and when (None: always), so that no other charges it again."""
        return {}

    def settles_hash(self, site: Site) -> Mapping[str, Interval | None]:
        """The groups whose hashing is not the site's to sell, or that this contract settles itself, and when (None: always)."""
        return {}

    def bounds(self, site: Site, memory: Mapping[str, Any], calls: Sequence[Call], over: Interval) -> Bounds:
        """What deployed instructions under this name insist on over an interval."""
        return called_bounds(calls, self.name, over, memory.get(LOAD_BEFORE_MW, {}))

    def shape(self, program: Any) -> None:
        """Adds its charges and its calls to a program."""
        for charge in self.charges(program):
            program.earn(self.name, charge)
        calls = [c for c in program.so_far.calls if c.obligation == self.name]
        if calls:
            memory = program.so_far.memory.get(self.name, {})
            bounds = [self.bounds(program.site, memory, calls, over) for over in program.grid.intervals]
            # What a contract only wishes for is weighed by its own rows, never before an instruction.
            firm = [b if b.firm else Bounds() for b in bounds]
            program.insist(self.name, self.scope.names(program.site), firm)

    def settle(self, actuals: Actuals) -> Iterable[Line]:
        """The lines of its charges, exact."""
        reader = ActualQuantities.of(actuals)
        return lines(self.name, self.charges(reader), reader)
