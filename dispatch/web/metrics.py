"""Prometheus: the site's figures, made anew at each scrape."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from dispatch.web.context import ApiContext
from dispatch.web.documents import fleet_document, price_now


class Figures:
    """A collector over the view."""

    def __init__(self, desk: ApiContext) -> None:
        self._desk = desk

    def collect(self) -> Iterable[Metric]:
        health = self._desk.health()
        view, now = self._desk.tail.view, self._desk.now()
        state = view.state
        yield gauge("loadstone_ready", "1 when the site is led, followed and seen in time", float(health["ready"]))
        yield gauge("loadstone_journal_seq", "The last row of the journal that was read", state.seq)
        if state.seen_at is not None:
            yield gauge("loadstone_seen_age_seconds", "Age of the last look, world seconds", (now - state.seen_at).total_seconds())
        if state.plan_at is not None:
            yield gauge("loadstone_plan_age_seconds", "Age of the plan in force, world seconds", (now - state.plan_at).total_seconds())
        if (price := price_now(state, now)) is not None:
            yield gauge("loadstone_price_usd_per_mwh", "The newest published real-time price", price["usd_per_mwh"])
            yield gauge("loadstone_price_age_seconds", "Age of that price since its interval's end", price["age_s"])
        load = GaugeMetricFamily("loadstone_load_mw", "Load at the meter as last seen, MW", labels=["group"])
        rigs = GaugeMetricFamily("loadstone_rigs", "Rigs by group and condition", labels=["group", "condition"])
        hashes = GaugeMetricFamily("loadstone_hashrate_ph", "Hashrate as last seen, PH/s", labels=["group"])
        for name, mw in state.metered_mw().items():
            load.add_metric([name], mw)
            hashes.add_metric([name], state.fleet[name].hashrate_ph)
        for name, group in fleet_document(view)["groups"].items():
            for mode, n in group["modes"].items():
                rigs.add_metric([name, mode], n)
            rigs.add_metric([name, "unreachable"], group["rigs"] - group["reachable"])
        yield from (load, rigs, hashes)
        yield gauge("loadstone_holds", "Standing orders of people", len(state.holds))
        yield gauge("loadstone_alerts", "Sources that do not answer", len(state.alerts))
        yield gauge("loadstone_open_orders", "Commands whose outcome is not known yet", len(state.open))


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def metrics_text(desk: ApiContext) -> tuple[bytes, str]:
    """The exposition and its media type. Raises Refusal while the ledger is not open."""
    registry = CollectorRegistry()
    registry.register(Figures(desk))
    return generate_latest(registry), CONTENT_TYPE_LATEST
