"""What in an observation calls for a new plan, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from dispatch.decide.group_state import GroupState
from dispatch.entries import GeneratorSeen, Hold, Seen
from markets import counted
from markets.facts import Award, Call, Fact, HashEconomics, HashPrice, IndicativePrices, Price
from optimizer.domain.site import Site


class Known(Protocol):
    """What is compared before and after an observation; `dispatch.decide.state.State` has it."""

    @property
    def setup(self) -> Any: ...

    @property
    def site(self) -> Site: ...

    @property
    def seen_at(self) -> datetime | None: ...

    @property
    def calls(self) -> tuple[Call, ...]: ...

    @property
    def holds(self) -> Mapping[str, Hold]: ...

    @property
    def fleet(self) -> Mapping[str, GroupState]: ...

    @property
    def generators(self) -> Mapping[str, GeneratorSeen]: ...


def calls_for_plan(fact: Fact) -> bool:
    """Whether a fact that becomes known may change the plan, so that the loop does not wait for the next tick."""
    return isinstance(fact, Price | IndicativePrices | HashPrice | HashEconomics)


def what_is_new(before: Known, after: Known, seen: Seen) -> list[str]:
    """What in an observation calls for a new plan."""
    news = []
    site = after.site
    points = set(after.setup.settlement_points)
    prices = [f for f in seen.facts if isinstance(f, Price | IndicativePrices) and f.point in points]
    if prices:
        news.append(counted(len(prices), "new price"))
    if any(isinstance(f, HashPrice | HashEconomics) for f in seen.facts):
        news.append("a new hashprice")
    if any(isinstance(f, Call | Award) for f in seen.facts) or seen.holds:
        news.append("a call, an award or a hold")
    if {k for k, h in before.holds.items()} != set(after.holds) and not seen.holds:
        news.append("a hold ran out")
    step_s = site.control_interval_min * 60
    if before.seen_at is None or int(before.seen_at.timestamp()) // step_s != int(seen.at.timestamp()) // step_s:
        news.append("a new interval")
    for call in after.calls:
        for edge in (call.start_at, call.end_at):
            if edge and before.seen_at and before.seen_at < edge <= seen.at:
                news.append(f"call {call.id} reached {edge:%H:%MZ}")
    for name, machine in after.generators.items():
        if machine.out_until is not None and (name not in before.generators or before.generators[name].out_until != machine.out_until):
            news.append(f"generator {name}: {machine.state}")
    for group in site.groups:
        then, now = before.fleet[group.name].reachable, after.fleet[group.name].reachable
        if abs(then - now) > max(1.0, 0.01 * group.rigs):
            news.append(f"{group.name}: {now} of {group.rigs} rigs responding")
    return news
