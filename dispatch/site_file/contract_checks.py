"""What contracts say of a site together: faults of their own, markets that do not fit, and megawatts that are sold twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dispatch.site_file.errors import ConfigFault, Where
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.obligation import ANY_SERVICE, Book, Obligation
from optimizer.domain.site import Site, meters_in

Placed = Sequence[tuple[int | None, Obligation]]


def contract_faults(site: Site, book: Placed) -> Iterator[ConfigFault]:
    """Contracts with their positions in the file (None: not written there): every reason not to accept one."""
    contracts, failures = tuple(o for _, o in book), PluginFailures()
    for k, (n, obligation) in enumerate(book):
        where: Where = ("obligations",) if n is None else ("obligations", n)
        with failures.of(obligation):
            found = list(_faults_of(site, obligation, where, contracts, contracts[:k]))
            yield from found
            if not found:
                _ask_of_site(site, obligation)
        if (error := failures.by.get(obligation.name)) is not None:
            yield ConfigFault(where, f"contract {obligation.name!r} failed when it was asked about the site: {error!r}")


def _faults_of(site: Site, obligation: Obligation, where: Where, contracts: Book, before: Book) -> Iterator[ConfigFault]:
    home, groups = obligation.market(), {g.name: n for n, g in enumerate(site.groups)}
    if home is not None and site.market is not home:
        yield ConfigFault(where, f"{obligation.type!r} is a service of {home.value.upper()}; the site is in {site.market.value}")
    for fault in obligation.check_site(site, contracts):
        table = where if fault.group is None else ("groups", groups[fault.group])
        yield ConfigFault((*table, *fault.key), fault.text)
    for other in before:
        both = [g for g in obligation.scope.names(site) if g in other.scope.names(site)]
        rule = _excluded(obligation, other)
        if both and rule:
            yield ConfigFault((*where, "scope"), f"shares {', '.join(both)} with {other.name!r}: {rule}")


def _ask_of_site(site: Site, obligation: Obligation) -> None:
    """Ask for everything that depends on the site alone. The answers stay the same while the site runs, so that what does not raise here
    does not raise there."""
    for by_site in (obligation.settlement_points, obligation.stop_prices, obligation.settles_generation, obligation.settles_energy,
                    obligation.settles_hash, obligation.generator):  # fmt: skip
        by_site(site)
    for always in (obligation.memory_days, obligation.peak_windows, obligation.protects_uptime, obligation.weighs_changes,
                   obligation.reserve_products, obligation.promised_mw, obligation.needs_own_meter, obligation.options):  # fmt: skip
        always()
    list(obligation.limits(site))
    obligation.memory_from({})


def _excluded(one: Obligation, other: Obligation) -> str | None:
    """The market rule by which two contracts may not speak of the same rigs, by either of them."""
    return _rule(one, other.service()) or _rule(other, one.service())


def _rule(obligation: Obligation, service: str) -> str | None:
    """The rule by which a contract excludes a service; a contract that sells none is never excluded."""
    excluded = obligation.excludes()
    return (excluded.get(service) or excluded.get(ANY_SERVICE)) if service else None


def contract_notes(site: Site, book: Book) -> Iterator[str]:
    """In words: services of more megawatts than their rigs draw at full load and 25 C, and meters that are shared and should not be."""
    for obligation in book:
        names = obligation.scope.names(site)
        draws = sum(site.group(g).rigs * site.group(g).full.watts / 1e6 * (1 + site.hall_of[g].overhead.at(25.0)) for g in names)
        if (sold := obligation.promised_mw()) > draws * 1.001:
            yield f"{obligation.name!r} promises {sold:.3f} MW; its rigs draw {draws:.3f} MW at full load"
        for meter, here in meters_in(site, obligation.scope) if obligation.needs_own_meter() else ():
            others = [g.name for g in site.groups if site.meter_of[g.name] is meter and g.name not in here]
            if others:
                yield f"{obligation.name!r} needs a meter of its own, but meter {meter.id!r} also serves {', '.join(others)}"
