"""The shipped Grafana dashboard and Prometheus rules name figures that a running site has, with the labels it has them by."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from dispatch.site_file.defaults import default_file
from tests.dispatch.web.conftest import Here

NAME = re.compile(r"\bloadstone_\w+")
BY = re.compile(r"by \(([^)]*)\)|\{\{ ?\$?labels\.(\w+) ?\}\}|\{\{(\w+)\}\}|\{(\w+)=\"")
# What Prometheus itself adds to every figure.
TARGET_LABELS = {"instance", "job"}
# Figures that this site has no sample of: it has no meter, and misses no promise.
WITHOUT_SAMPLES = {"loadstone_shortfall_mw": {"obligation"}, "loadstone_meter_believed": {"meter"}, "loadstone_meter_mw": {"meter"}}


def figures(here: Here) -> dict[str, set[str]]:
    """Every figure of /metrics with its labels."""
    families = text_string_to_metric_families(here.http.get("/metrics").text)
    found = {family.name: {label for sample in family.samples for label in sample.labels} for family in families}
    assert all(not found[name] for name in WITHOUT_SAMPLES)
    return found | WITHOUT_SAMPLES


def check(expression: str, shown: str, known: dict[str, set[str]]) -> None:
    names = NAME.findall(expression)
    assert set(names) <= set(known), expression
    labels = {part.strip() for found in BY.findall(expression + shown) for group in found if group for part in group.split(",")}
    assert labels <= TARGET_LABELS | {label for name in names for label in known[name]}, (expression, shown)


def test_every_panel_of_the_dashboard_shows_figures_that_exist(here: Here) -> None:
    document = json.loads(default_file("grafana-dashboard.json").read_text("utf-8"))
    known = figures(here)
    panels: list[dict[str, Any]] = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
    for panel in panels:
        for target in panel["targets"]:
            check(target["expr"], target["legendFormat"], known)


def test_every_rule_is_over_figures_that_exist_and_says_what_is_wrong(here: Here) -> None:
    (group,) = yaml.safe_load(default_file("prometheus-alerts.yml").read_text("utf-8"))["groups"]
    known = figures(here)
    for rule in group["rules"]:
        check(rule["expr"], rule["annotations"]["summary"], known)
        assert rule["labels"]["severity"] in ("critical", "warning")
