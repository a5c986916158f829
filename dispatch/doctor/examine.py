"""Every check of a site, in the order in which a site needs what they try."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from dispatch import ConfigError
from dispatch.doctor import Check, CheckResult
from dispatch.doctor.equipment import feed_checks, link_checks, meter_checks, rig_checks
from dispatch.doctor.machine import address_check, machine_checks
from dispatch.runtime.price_sources import simulated_market
from dispatch.site_file.load import load_site_file
from dispatch.site_file.secret_files import secret_notes
from dispatch.site_file.setup import Setup


async def examine(config: Path, data_dir: Path, now: datetime) -> AsyncIterator[Check]:
    """The checks of a site, each as soon as it is made; only the machine's where the site file has faults."""
    try:
        setup = load_site_file(config)
    except ConfigError as error:
        for fault in error.faults:
            yield Check("site file", CheckResult.FAIL, fault, "Correct the site file: docs/reference/site-file.md.")
        for check in machine_checks(data_dir, now):
            yield check
        return
    yield Check("site file", CheckResult.PASS, f"{config} has no faults.")
    for note in secret_notes(setup):
        yield Check("secrets", CheckResult.WARN, note)
    published = [setup.resolve(name) for name in setup.reports.head_files]
    for check in machine_checks(data_dir, now, published, simulated_time=simulated_market(setup)):
        yield check
    yield address_check("api", setup.api.listen)
    async for check in _equipment(setup, now):
        yield check


async def _equipment(setup: Setup, now: datetime) -> AsyncIterator[Check]:
    for check in link_checks(setup):
        yield check
    for checks in (feed_checks(setup, now), meter_checks(setup), rig_checks(setup)):
        async for check in checks:
            yield check
