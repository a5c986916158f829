"""The worlds: which clock, observer, executor and planner each is made of. Nothing else differs between them."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dispatch.clock import Clock
from dispatch.decide.load_at_meters import groups_behind
from dispatch.meters import PowerMeter
from dispatch.meters.cooling_sections import cooling_of
from dispatch.meters.dry_run import DryRunMeter
from dispatch.meters.generator_sections import generators_of
from dispatch.meters.meter_checks import MeterChecks
from dispatch.meters.meter_sections import meter_tables, meters_of
from dispatch.meters.order_fence import Fence, open_fence
from dispatch.meters.readings import MeterReadings
from dispatch.meters.site_devices import SiteDevices
from dispatch.power_meters import MeterId, MeterKind
from dispatch.rigs import Driver
from dispatch.rigs.controller import RigController, TelemetrySink
from dispatch.rigs.denied_firmware import read_denied_firmware
from dispatch.rigs.driver_sections import driver_settings
from dispatch.rigs.dry_run import DryRunDriver
from dispatch.rigs.guarded_driver import GuardedDriver
from dispatch.rigs.rig_identities import RigIdentities
from dispatch.rigs.secrets import secret
from dispatch.runtime.link_telemetry import LinkTelemetry
from dispatch.runtime.observer import SiteObserver
from dispatch.runtime.planner import InlinePlanner, WorkerPlanner
from dispatch.runtime.polling import PolledSource
from dispatch.runtime.price_forecasts import NewestModel, PriceForecasts, break_evens_of
from dispatch.runtime.price_sources import polled_sources
from dispatch.runtime.world import World
from dispatch.signals.links.link_sections import links_of
from dispatch.signals.links.serve_links import SiteLinks
from dispatch.sim.driver import simulated_drivers
from dispatch.sim.dry_run import dry_run_driver
from dispatch.sim.fleet import Fleet
from dispatch.sim.fleet_meter import simulated_meters
from dispatch.sim.spec import spec_of
from dispatch.site_file.defaults import default_file
from dispatch.site_file.setup import Setup
from dispatch.store.inbox import Inbox
from dispatch.store.stop_file import StopFile
from markets.forecasting.ladder import MILD_CELSIUS
from optimizer.domain.book import generators_by_meter
from optimizer.domain.isolation import PluginFailures

POLL_S = 30.0  # seconds of the world's clock between two readings of every rig


@dataclass(frozen=True, slots=True)
class Assembled:
    """A world, its rig controller, what has to run beside the loop, and the simulated rigs of a replay."""

    world: World
    controller: RigController
    background: tuple[Coroutine[Any, Any, Any], ...] = field(default=())
    fleet: Fleet | None = None


def live(
    setup: Setup,
    clock: Clock,
    inbox: Inbox,
    telemetry: TelemetrySink,
    *,
    dry_run: bool = False,
    identities_path: Path | None = None,
    newest_model: NewestModel | None = None,
    fence: Fence = open_fence,
    stop: StopFile | None = None,
) -> Assembled:
    """Real sources and real rigs. With `dry_run` orders are recorded and no rig, pump, fan, generator or meter is written to: the shadow
    world. `identities_path` keeps what the rigs say they are; `newest_model` finds the price models that forecast; `fence` says of each
    order whether it may be sent; `stop` is the file of the global stop."""
    drivers = live_drivers(setup, clock, dry_run=dry_run, fence=fence)
    cooling = {} if dry_run else cooling_of(setup, clock, fence)
    devices = SiteDevices(cooling, generators_of(setup, clock, orders=not dry_run, fence=fence))
    meters = MeterReadings(_meters(setup, drivers), clock, meter_checks(setup))
    controller = RigController(setup.site, drivers, clock, telemetry, meters, devices)
    sources = polled_sources(setup, clock.now)
    denied = read_denied_firmware(default_file("firmware.toml"))
    identities = RigIdentities(setup.site, drivers, clock, denied, identities_path)
    telemetry_of = LinkTelemetry(setup, controller, clock)
    links = SiteLinks(links_of(setup), setup, inbox, clock, telemetry_of.of, lambda reference: secret(reference, setup.resolve))
    forecasts = _forecasts(setup, newest_model)
    observer = SiteObserver(
        clock, sources, controller, inbox, refresh_each_tick=False, identities=identities, links=links, forecasts=forecasts, stop=stop
    )
    linked = (links.serve(), telemetry_of.keep_meters_fresh()) if links.sites else ()
    planner = WorkerPlanner(clock)
    world = World("shadow" if dry_run else "live", clock, observer, controller, planner)
    return Assembled(world, controller, (controller.poll(POLL_S), observer.poll(), planner.work(), identities.follow(), *linked))


def replay(
    setup: Setup,
    clock: Clock,
    telemetry: TelemetrySink,
    inbox: Inbox | None = None,
    more: tuple[PolledSource, ...] = (),
    seed: int = 0,
    newest_model: NewestModel | None = None,
    *,
    dry_run: bool = False,
) -> Assembled:
    """Archived or synthetic facts, a simulated fleet in this process, and a clock that jumps from tick to tick. With `dry_run` orders are
    recorded and none reaches the fleet, as in shadow."""
    fleet = _fleet(setup, seed, clock)
    rigs = simulated_drivers(fleet, clock)
    drivers: dict[str, Driver] = {g.name: dry_run_driver(g, rigs[g.name], clock) if dry_run else rigs[g.name] for g in setup.site.groups}
    meters = MeterReadings(_corrected(simulated_meters(setup.site, fleet, clock), setup, drivers), clock, meter_checks(setup))
    controller = RigController(setup.site, drivers, clock, telemetry, meters)
    observer = SiteObserver(
        clock,
        [*polled_sources(setup, clock.now), *more],
        controller,
        inbox,
        refresh_each_tick=True,
        forecasts=_forecasts(setup, newest_model),
    )
    return Assembled(World("replay", clock, observer, controller, InlinePlanner()), controller, fleet=fleet)


def _forecasts(setup: Setup, newest_model: NewestModel | None) -> PriceForecasts | None:
    if newest_model is None:
        return None
    return PriceForecasts(setup.settlement_points, setup.site.market, newest_model, break_evens_of(setup))


def _fleet(setup: Setup, seed: int, clock: Clock) -> Fleet:
    return Fleet(spec_of(setup.site.groups), seed, clock.now().timestamp())


def meter_checks(setup: Setup) -> MeterChecks:
    """The checks of a site's meters; a revenue meter that reads net of generation is not checked."""
    net = generators_by_meter(setup.book, setup.site, PluginFailures())
    judged = [m for m in meter_tables(setup.site) if not (m.kind is MeterKind.METER and m.name in net)]
    return MeterChecks(setup.site, {meter: groups_behind(setup.site, meter) for meter in judged})


def _meters(setup: Setup, drivers: Mapping[str, Driver]) -> dict[MeterId, PowerMeter]:
    """The site's meters, in a dry run corrected for the orders that were not sent."""
    return _corrected(meters_of(setup), setup, drivers)


def _corrected(meters: Mapping[MeterId, PowerMeter], setup: Setup, drivers: Mapping[str, Driver]) -> dict[MeterId, PowerMeter]:
    """The meters, those with dry-run groups behind them corrected for the orders that were not sent."""
    out: dict[MeterId, PowerMeter] = {}
    for name, meter in meters.items():
        behind, rigs_alone = groups_behind(setup.site, name), name.kind is MeterKind.GROUP
        shares = {g: 0.0 if rigs_alone else setup.site.hall_of[g].overhead.at(MILD_CELSIUS) for g in behind}
        dry_runs = [(driver, share) for g, share in shares.items() if isinstance(driver := drivers[g], DryRunDriver)]
        out[name] = DryRunMeter(meter, dry_runs) if dry_runs else meter
    return out


def live_drivers(setup: Setup, clock: Clock, *, dry_run: bool = False, fence: Fence = open_fence) -> dict[str, Driver]:
    """By group the driver of its rigs; with `dry_run` one that writes to none."""
    drivers: dict[str, Driver] = {}
    for group in setup.site.groups:
        settings = driver_settings(setup, group.name)
        reach = partial(settings.reach, setup, group.name, clock)
        reached = reach() if settings.kind == "dry-run" else GuardedDriver(group.name, reach, lambda: clock.now().timestamp(), fence)
        if isinstance(reached, GuardedDriver) and not dry_run:
            reached.prepare_orders()
        drivers[group.name] = dry_run_driver(group, reached, clock) if dry_run and not isinstance(reached, DryRunDriver) else reached
    return drivers
