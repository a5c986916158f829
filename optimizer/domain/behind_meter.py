"""The base of contracts that generate behind one meter: which meter it is, and that a contract of the book settles what is made there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import model_validator
from typing_extensions import TypeVar

from optimizer.domain.contract import Contract
from optimizer.domain.memory import Memory
from optimizer.domain.obligation import Book
from optimizer.domain.site import Meter, Site
from optimizer.domain.site_fault import SiteFault

M = TypeVar("M", bound=Memory, default=Memory)


class BehindMeter(Contract[M]):
    """Its scope is one meter: `scope = { meter = "..." }`, or nothing on a site with one."""

    @model_validator(mode="after")
    def _meter_alone(self) -> Self:
        if any(v is not None for v in (self.scope.hall, self.scope.tenant, self.scope.groups)):
            raise ValueError('needs a meter alone: scope = { meter = "..." }')
        return self

    def meter(self, site: Site) -> Meter:
        """The meter it is behind. Raises ValueError when its scope is not one meter."""
        found = [m for m in site.meters if self.scope.meter in (None, m.id)]
        if len(found) != 1:
            raise ValueError(
                f"{self.name}: needs one meter: scope = {{ meter = ... }}; the site has {', '.join(m.id for m in site.meters)}"
            )
        return found[0]

    def check_site(self, site: Site, book: Book) -> Iterable[SiteFault]:
        """Its scope is one meter, and a contract of the book settles all energy behind it."""
        try:
            meter = self.meter(site)
        except ValueError:
            known = ", ".join(m.id for m in site.meters)
            yield SiteFault(f'needs one meter: scope = {{ meter = "..." }}; the site has {known}', ("scope",))
            return
        if not any(meter.id in o.settles_generation(site) for o in book):
            yield SiteFault(f"no power contract covers all of meter {meter.id!r}: its generation would not be settled")
