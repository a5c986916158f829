"""The site's figures for Prometheus, computed at each scrape."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from dispatch.decide.state import State
from dispatch.store.reserve import reserve_file
from dispatch.store.spare_journal import waiting_entries
from dispatch.store.stop_file import StopFile
from dispatch.web.context import ApiContext
from dispatch.web.documents import fleet_document, price_now


class SiteCollector:
    """Collects gauges from the live view."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def collect(self) -> Iterable[Metric]:
        health = self._context.health()
        view, now = self._context.tail.view, self._context.now()
        state = view.state
        yield gauge("loadstone_ready", "1 when the ledger, the leader and the control loop are all ok", float(health["ready"]))
        yield gauge("loadstone_journal_seq", "Sequence number of the last journal row read", state.seq)
        if state.seen_at is not None:
            age_s = (now - state.seen_at).total_seconds()
            yield gauge("loadstone_seen_age_seconds", "Age of the last observation, seconds of site time", age_s)
        if state.plan_at is not None:
            age_s = (now - state.plan_at).total_seconds()
            yield gauge("loadstone_plan_age_seconds", "Age of the plan in force, seconds of site time", age_s)
        if (price := price_now(state, now)) is not None:
            yield gauge("loadstone_price_usd_per_mwh", "Newest published real-time price, $/MWh", price["usd_per_mwh"])
            yield gauge("loadstone_price_age_seconds", "Seconds of site time since the end of that price's interval", price["age_s"])
        load = GaugeMetricFamily("loadstone_load_mw", "Load at the meter at the last observation, MW", labels=["group"])
        rigs = GaugeMetricFamily("loadstone_rigs", "Rigs by group and condition", labels=["group", "condition"])
        hashes = GaugeMetricFamily("loadstone_hashrate_ph", "Hashrate at the last observation, PH/s", labels=["group"])
        for name, mw in state.metered_mw().items():
            load.add_metric([name], mw)
            hashes.add_metric([name], state.fleet[name].hashrate_ph)
        for name, group in fleet_document(view)["groups"].items():
            for mode, n in group["modes"].items():
                rigs.add_metric([name, mode], n)
            rigs.add_metric([name, "unreachable"], group["rigs"] - group["reachable"])
        by_rigs = GaugeMetricFamily("loadstone_rigs_load_mw", "Load at the meter by the rigs' own readings, MW", labels=["group"])
        for name, mw in state.rigs_mw().items():
            by_rigs.add_metric([name], mw)
        meters = GaugeMetricFamily("loadstone_meter_mw", "What each meter last read, MW", labels=["meter"])
        believed = GaugeMetricFamily("loadstone_meter_believed", "1 for a meter that is used, 0 for a doubted one", labels=["meter"])
        for meter, mw in state.meters.items():
            meters.add_metric([str(meter)], mw)
            believed.add_metric([str(meter)], float(meter not in state.meter_doubts))
        yield from (load, by_rigs, meters, believed, rigs, hashes)
        yield gauge("loadstone_holds", "Holds in force", len(state.holds))
        yield gauge("loadstone_alerts", "Alerts: sources that do not respond", len(state.alerts))
        yield from self._safety(state)
        yield gauge("loadstone_open_orders", "Orders whose outcome is not known yet", len(state.open))

    def _safety(self, state: State) -> Iterable[Metric]:
        """Calls, promises, failures, and what the safety of the site rests on."""
        folder, now = self._context.data_dir, self._context.now()
        in_force = [call for call in state.calls if call.start_at <= now and (call.end_at is None or now < call.end_at)]
        yield gauge("loadstone_calls_in_force", "Versions of calls whose time is now", len(in_force))
        short = GaugeMetricFamily("loadstone_shortfall_mw", "MW by which a promise is missed, by contract", labels=["obligation"])
        for name, mw in (state.commanded.shortfall_mw if state.commanded else {}).items():
            short.add_metric([name], mw)
        yield short
        failures = len(state.commanded.contract_failures) if state.commanded else 0
        yield gauge("loadstone_contract_failures", "Contracts that failed in the newest decision", failures)
        yield gauge("loadstone_plan_failed", "1 when the newest plan failed", float(bool(state.plan_failed)))
        yield gauge("loadstone_stopped", "1 while a global stop is in force", float(StopFile(folder).in_force()))
        yield gauge("loadstone_journal_waiting", "Journal rows in the spare file: the ledger cannot be written", waiting_entries(folder))
        yield gauge("loadstone_reserve", "1 while room is set aside for a full disk", float(reserve_file(folder).exists()))
        yield gauge("loadstone_disk_free_bytes", "Free bytes on the disk of the data folder", shutil.disk_usage(folder).free)


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def metrics_text(context: ApiContext) -> tuple[bytes, str]:
    """The exposition and its media type. Raises Refusal while the ledger is not open."""
    registry = CollectorRegistry()
    registry.register(SiteCollector(context))
    return generate_latest(registry), CONTENT_TYPE_LATEST
