"""Runs the links of a site beside the control loop: each by itself, started again when it fails, its silence noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from dispatch.clock import Clock
from dispatch.signals.links.link import Link, LinkFault, SiteTelemetry
from dispatch.signals.links.link_sections import LinkSettings, ReadSecret
from dispatch.signals.links.linked_site import LinkedSite
from dispatch.site_file.setup import Setup
from dispatch.store.inbox import Inbox

log = structlog.get_logger()

AGAIN_AFTER_S, WATCHED_EVERY_S = 5.0, 1.0
RESUMED_FROM = 100  # the newest calls of a link among which its set point in force is looked for
ContractTelemetry = Callable[[str], SiteTelemetry | None]


class SiteLinks:
    """The links of a site; `telemetry` gives the newest by contract."""

    def __init__(
        self, settings: Sequence[LinkSettings], setup: Setup, inbox: Inbox, clock: Clock, telemetry: ContractTelemetry, secret: ReadSecret
    ) -> None:
        self._clock, self._setup, self._secret, self._inbox = clock, setup, secret, inbox
        self.sites = [LinkedSite(s, setup, inbox, clock, lambda contract=s.obligation: telemetry(contract)) for s in settings]  # type: ignore[misc]

    def alerts(self, at: datetime) -> dict[str, str]:
        """By link, a sentence while it cannot be used or is silent."""
        return {site.key_name: text for site in self.sites if (text := site.alert(at))}

    def asked(self) -> tuple[str, ...]:
        """The names that `alerts` may list."""
        return tuple(site.key_name for site in self.sites)

    async def serve(self) -> None:
        """Run every link for ever. Never raises for a link."""
        for site in self.sites:
            site.resume(self._inbox.newest_calls_by(site.key_name, RESUMED_FROM))
        async with asyncio.TaskGroup() as tasks:
            for site in self.sites:
                tasks.create_task(self._serve_one(site))
            while True:
                for site in self.sites:
                    site.watch(self._clock.now())
                await asyncio.sleep(WATCHED_EVERY_S)

    async def _serve_one(self, site: LinkedSite) -> None:
        while True:
            try:
                link: Link = site.settings.opened(self._setup, self._secret)
                site.fault = ""
                await link.run(site)
                site.fault = "the link ended by itself; it is started again"
            except (LinkFault, OSError, KeyError, ValueError, ImportError) as fault:
                site.fault = str(fault)
            except Exception as fault:  # a defect of one protocol must not end the loop, nor the other links
                site.fault = f"the link failed: {fault!r}"
            log.error("link failed", link=site.settings.name, why=site.fault)
            await asyncio.sleep(AGAIN_AFTER_S)
