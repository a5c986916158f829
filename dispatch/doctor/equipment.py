"""What a site reaches over its networks: feeds, rigs and meters, each asked once; and links, whose secrets and libraries are looked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from dispatch.clock import WallClock
from dispatch.doctor import Check, CheckResult
from dispatch.doctor.machine import address_check
from dispatch.meters import PowerMeter
from dispatch.meters.meter_sections import meters_of
from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.secrets import secret
from dispatch.signals.links.link_sections import LinkSettings, links_of
from dispatch.site_file.setup import FactSettings, Setup
from markets import SourceError, counted
from optimizer.domain.site import RigGroup

LOOK_BACK = timedelta(hours=2)
FEED_S, READ_S = 90.0, 10.0
NAMED = 5
# Drivers whose rigs are inside this process: there is nothing to reach.
IN_PROCESS = frozenset({"simulated", "dry-run"})


async def feed_checks(setup: Setup, now: datetime, feed_s: float = FEED_S) -> AsyncIterator[Check]:
    """Each source of facts is asked for the last two hours."""
    named = {"prices": setup.prices, "hash": setup.hash, "generation": setup.generation, "weather": setup.weather}
    for name, settings in named.items():
        if settings is not None:
            yield await _feed(name, settings, setup, now, feed_s)


async def _feed(name: str, settings: FactSettings, setup: Setup, now: datetime, feed_s: float) -> Check:
    what = f"feed {name}"
    source: Any = None
    try:
        source = settings.opened(setup, lambda: now)
        facts = await asyncio.wait_for(source.fetch(now - LOOK_BACK, now), feed_s)
    except TimeoutError:
        return Check(what, CheckResult.FAIL, f"{settings.source} did not answer within {feed_s:g} s.", _feed_advice(settings))
    except (SourceError, OSError, ValueError, LookupError) as error:
        return Check(what, CheckResult.FAIL, f"{settings.source} does not answer: {error}", _feed_advice(settings))
    finally:
        if source is not None and hasattr(source, "aclose"):
            await source.aclose()
    if not facts:
        return Check(what, CheckResult.WARN, f"{settings.source} answers and has nothing of the last two hours.", _feed_advice(settings))
    return Check(what, CheckResult.PASS, f"{settings.source} answers: {counted(len(facts), 'fact')} of the last two hours.")


def _feed_advice(settings: FactSettings) -> str:
    return "Check its address and this machine's network." if settings.live else "Look at its folder or file in the site file."


async def rig_checks(setup: Setup, read_s: float = READ_S) -> AsyncIterator[Check]:
    """Every rig of every group is read once."""
    for group in setup.site.groups:
        yield await _rigs(setup, group, read_s)


async def _rigs(setup: Setup, group: RigGroup, read_s: float) -> Check:
    what, settings = f"rigs {group.name}", driver_settings(setup, group.name)
    if settings.kind in IN_PROCESS and not getattr(settings, "listed", False):
        advice = "Say where the rigs are: loadstone rigs scan SUBNET, then `driver` in the site file."
        return Check(what, CheckResult.WARN, f"{counted(group.rigs, 'rig')}, simulated: nothing real is read or moved.", advice)
    try:
        driver = settings.reach(setup, group.name, WallClock())
    except (OSError, ValueError, LookupError) as error:
        return Check(what, CheckResult.FAIL, f"They cannot be reached: {error}", "Correct `driver` of the group, or its secret.")
    try:
        readings = await driver.read(range(group.rigs), read_s)
    finally:
        await driver.close()
    silent = readings.rigs[np.isnan(readings.watts) & np.isnan(readings.ths)]
    watts = float(np.nansum(readings.watts))
    if not silent.size:
        return Check(what, CheckResult.PASS, f"{counted(group.rigs, 'rig')} answered, drawing {watts / 1e6:.3f} MW.")
    few = ", ".join(str(n + 1) for n in silent[:NAMED].tolist()) + (" ..." if silent.size > NAMED else "")
    found = f"{silent.size} of {counted(group.rigs, 'rig')} did not answer: number {few} of the group."
    verdict = CheckResult.FAIL if silent.size == group.rigs else CheckResult.WARN
    return Check(what, verdict, found, "Look at their network and power; until they answer they count as drawing full power.")


async def meter_checks(setup: Setup, read_s: float = READ_S) -> AsyncIterator[Check]:
    """Every meter is read once."""
    for where, meter in meters_of(setup).items():
        yield await _meter(str(where), meter, read_s)


async def _meter(what: str, meter: PowerMeter, read_s: float) -> Check:
    try:
        load_mw = await meter.read_mw(read_s)
    finally:
        await meter.close()
    if load_mw is None:
        return Check(what, CheckResult.FAIL, "It does not answer, or with an impossible value.", "Look at host, port, unit and register.")
    if load_mw < 0:
        return Check(what, CheckResult.WARN, f"It reads {load_mw:.3f} MW.", "If what is drawn counts as negative: scale = -1.")
    return Check(what, CheckResult.PASS, f"It reads {load_mw:.3f} MW.")


def link_checks(setup: Setup) -> Iterator[Check]:
    """Whether each link has its secrets and its library, and can listen where it is to. Nothing connects."""
    for settings in links_of(setup):
        yield _link(settings, setup)


def _link(settings: LinkSettings, setup: Setup) -> Check:
    what = f"link {settings.name}"
    try:
        settings.opened(setup, lambda reference: secret(reference, setup.resolve))
    except KeyError as error:
        return Check(what, CheckResult.FAIL, f"The environment variable {error.args[0]} is not set.", "Set it for this run.")
    except (OSError, ValueError) as error:
        return Check(what, CheckResult.FAIL, f"It cannot be opened: {error}", "Correct its table in the site file, or its secret.")
    listen = getattr(settings, "listen", None)
    return address_check(what, listen) if listen else Check(what, CheckResult.PASS, f"{settings.kind}: its secrets are there.")
