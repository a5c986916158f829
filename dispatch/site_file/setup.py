"""A site file becomes a Site, a book of obligations and the settings around them; every fault at once, each "FILE: key: what is wrong"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatch.site_file import market_rules as rules
from dispatch.site_file import plugins as points
from dispatch.site_file.defaults import default_file as default_file
from dispatch.site_file.sections import ApiSettings, DriverSettings, HashSettings, PricesSettings, ReportSettings
from optimizer.domain.obligation import Book
from optimizer.domain.site import Site


@dataclass(frozen=True, slots=True)
class Setup:
    """A site file, understood.

    document   everything that was read, as JSON values: groups with their modes in full, the whole book; no secret.
               `from_document` makes the same Setup of it
    hash_id    SHA-256 of the document, hex: names the site and book a journal row was decided under
    unverified sentences about rules and figures the site stands on that nobody has checked
    path       the file, None when it came from a journal
    """

    site: Site
    book: Book
    prices: PricesSettings
    hash: HashSettings
    document: Mapping[str, Any]
    hash_id: str
    rules: rules.Rules
    api: ApiSettings = ApiSettings()
    reports: ReportSettings = ReportSettings()
    unverified: tuple[str, ...] = ()
    path: Path | None = None

    @property
    def points(self) -> tuple[str, ...]:
        """The settlement points whose prices the site needs: its meters' and its contracts'."""
        ours = [m.settlement_point for m in self.site.meters]
        theirs = [getattr(o, "settlement_point", None) for o in self.book]
        return tuple(dict.fromkeys([*ours, *(p for p in theirs if p)]))

    def resolve(self, name: str) -> Path:
        """A path the file names, relative to the file's own folder."""
        return (self.path.parent if self.path else Path()) / name

    def driver(self, group: str) -> DriverSettings:
        """How the rigs of a group are reached."""
        table = self.site.group(group).driver
        found: DriverSettings = points.offered(points.DRIVERS)[str(table["kind"])].model_validate(table)
        return found
