"""The tables [[links]] and [[envelopes]] of a site file, against the rest of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dispatch.site_file import plugins
from dispatch.site_file.envelope import Envelope
from dispatch.site_file.errors import ConfigFault, did_you_mean, shown, validated, validated_by_kind
from dispatch.site_file.raw_document import names, tables
from optimizer.domain.obligation import Book
from optimizer.domain.site import SafeState, Site


def link_faults(document: Mapping[str, Any], site: Site, book: Book) -> Iterator[ConfigFault]:
    """Keys of their own, links and envelopes that name what there is not, and what a lost link does where there are none."""
    contracts = [o.name for o in book]
    for section in ("links", "envelopes"):
        if section in document and not isinstance(document[section], list):
            yield ConfigFault((section,), f"needs tables [[{section}]], not {shown(document[section])}")
    taken: set[str] = set()
    for n, table in tables(document, "links"):
        yield from validated_by_kind({"links": table}, "links", "kind", plugins.installed(plugins.LINKS), None, ("links", n))[1]
        if isinstance(name := table.get("name"), str):
            if name in taken:
                yield ConfigFault(("links", n, "name"), f"{name!r} is used twice")
            taken.add(name)
        if isinstance(named := table.get("obligation"), str) and named not in contracts:
            yield ConfigFault(("links", n, "obligation"), f"there is no obligation {named!r}" + did_you_mean(named, contracts))
    for n, table in tables(document, "envelopes"):
        yield from validated(Envelope, table, ("envelopes", n))[1]
        for contract in table.get("obligations", ()) if isinstance(table.get("obligations"), list) else ():
            if contract not in contracts:
                yield ConfigFault(("envelopes", n, "obligations"), f"there is no obligation {contract!r}")
        key = table.get("key")
        if isinstance(key, str) and key.startswith("link ") and key.removeprefix("link ") not in names(document, "links"):
            yield ConfigFault(("envelopes", n, "key"), f"there is no link {key.removeprefix('link ')!r}")
    if site.link_loss is not SafeState.HOLD and not names(document, "links"):
        yield ConfigFault(("site", "link_loss"), f"{site.link_loss.value!r} says what a lost link does, and the site has no [[links]]")
