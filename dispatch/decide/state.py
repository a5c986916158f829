"""State: the journal, folded. The same entries give the same state in every world."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from dispatch.decide.contract_memory import ContractMemories, SiteAsSeen, memories_at_start, remembers
from dispatch.decide.group_state import GroupState, mode_index
from dispatch.decide.kept_calls import KEEP_CALLS, not_long_over
from dispatch.decide.load_at_meters import load_at_meters, metered_at_rigs
from dispatch.decide.news import what_is_new
from dispatch.decide.renamed_contracts import renamed_contracts
from dispatch.entries import Commanded, Done, Entry, GeneratorSeen, Hold, Order, Planned, PriceBasisChanged, RunEnded, RunStarted, Seen
from dispatch.power_meters import MeterId
from markets.factbook import KEEP, FactBook
from markets.facts import Award, Call
from markets.forecasting.ladder import MILD_CELSIUS
from markets.outlook import PriceBasis
from optimizer.domain.book import generators_by_meter
from optimizer.domain.calls import ENDS, events_of
from optimizer.domain.isolation import PluginFailures
from optimizer.domain.site import Site
from optimizer.planning.plan_json import PlanDocument

if TYPE_CHECKING:
    from dispatch.site_file.setup import Setup

# What alerts about contracts that raise, and about promises that are missed, are listed under, before the name.
CONTRACT_ALERT, SHORTFALL_ALERT = "contract ", "shortfall of "


@dataclass(frozen=True, slots=True)
class News:
    """Something a new plan must take into account, with the row it came in."""

    seq: int
    at: datetime
    what: str


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Everything a decision may know.

    setup_from         makes a Setup of the document a run was started with: the journal may hold runs of several site files
    seq, at            row of the newest entry, and its time
    facts              what the market published, newest vintages
    calls              every version of the calls that are in force or ended in the last days, as it came
    notice_mw          by call id, the load of the called obligation's scope at the meter at its notice, MW; nothing before the notice
    plan               the plan in force; `plan_seq` its row, `plan_as_of` the row it was made from
    commanded          the newest decision
    open               orders without an outcome
    news               what happened since the plan's inputs were folded; a plan is due while there is any
    price_basis        which price the current interval is planned on
    alerts             by source, a sentence
    contract_memories  what contracts remember of the time before
    meters             measured MW by meter, as last read, the first of them at `meters_at`; `meter_doubts` why some are not believed
    generators         by contract, the generators that are switched and metered, as last read
    renamed            by the name that a contract had in an earlier site file, the name it has now
    """

    setup: Setup
    setup_from: Callable[[Mapping[str, Any]], Setup]
    seq: int = 0
    at: datetime | None = None
    run: RunStarted | None = None
    facts: FactBook = field(default_factory=FactBook)
    calls: tuple[Call, ...] = ()
    awards: tuple[Award, ...] = ()
    holds: Mapping[str, Hold] = field(default_factory=dict)
    notice_mw: Mapping[str, float] = field(default_factory=dict)
    fleet: Mapping[str, GroupState] = field(default_factory=dict)
    plan: PlanDocument | None = None
    plan_at: datetime | None = None
    plan_seq: int = 0
    plan_as_of: int = 0
    plan_failed: str = ""
    commanded: Commanded | None = None
    open: tuple[Order, ...] = ()
    done: Done | None = None
    news: tuple[News, ...] = ()
    price_basis: str = PriceBasis.REAL_TIME
    price_basis_reason: str = ""
    alerts: Mapping[str, str] = field(default_factory=dict)
    inbox_cursor: int = 0
    seen_at: datetime | None = None
    contract_memories: ContractMemories = ContractMemories()
    meters: Mapping[MeterId, float] = field(default_factory=dict)
    meters_at: datetime | None = None
    meter_doubts: Mapping[MeterId, str] = field(default_factory=dict)
    generators: Mapping[str, GeneratorSeen] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, setup: Setup, setup_from: Callable[[Mapping[str, Any]], Setup]) -> State:
        """The state before the first entry."""
        return cls(setup, setup_from, fleet={g.name: GroupState.unseen(g.rigs) for g in setup.site.groups})

    @property
    def site(self) -> Site:
        """The site of the setup."""
        site: Site = self.setup.site
        return site

    def overhead(self, group: str, at: datetime) -> float:
        """The factor from a group's load at the rigs to its load at the meter, at the outside temperature of an instant; mild weather where
        none is known."""
        temperature = self.facts.temperature(at)
        return 1.0 + self.site.hall_of[group].overhead.at(temperature.celsius if temperature else MILD_CELSIUS)

    @property
    def net_meters(self) -> frozenset[str]:
        """The revenue meters with generation behind them: they read net load. A contract that raises here raises among the limits too."""
        return frozenset(generators_by_meter(self.setup.book, self.site, PluginFailures()))

    @property
    def believed_meters(self) -> dict[MeterId, float]:
        """MW by meter, without the meters that are doubted."""
        return {meter: mw for meter, mw in self.meters.items() if meter not in self.meter_doubts}

    def rigs_mw(self) -> dict[str, float]:
        """By group: the load at the meter by the rigs' own readings, the hall's overhead at this temperature included, MW."""
        at = self.at
        return {g.name: self.fleet[g.name].load_mw * self.overhead(g.name, at) if at else 0.0 for g in self.site.groups}

    def metered_mw(self) -> dict[str, float]:
        """By group: the load at the meter as last seen, MW: by the believed meters, by the rigs' own readings where there is none."""
        at, loads, meters = self.at, self.rigs_mw(), self.believed_meters
        if at is None or not meters:
            return loads
        return load_at_meters(self.site, loads, meters, lambda group: self.overhead(group, at), self.net_meters)

    def _loads_at_notice(self, calls: Sequence[Call], at: datetime) -> dict[str, float]:
        """By call id, MW at the meter of the called obligation's scope as last seen before the notice, of calls noticed so far. An id
        that is used again for another event has a new notice."""
        if not calls:
            return {}
        loads, found = self.metered_mw(), dict[str, float]()
        by_id: dict[str, list[Call]] = {}
        for call in calls:
            by_id.setdefault(call.id, []).append(call)
        known = set(self.calls)
        for versions in by_id.values():
            event = events_of(versions)[-1]
            orders = [c for c in event if c.kind not in ENDS and c.notice_at <= at]
            if not orders:
                continue
            call = orders[-1]
            if call.id in self.notice_mw and known.intersection(event):
                found[call.id] = self.notice_mw[call.id]
                continue
            names = next((o.scope.names(self.site) for o in self.setup.book if o.name == call.obligation), tuple(loads))
            found[call.id] = sum(loads[n] for n in names)
        return found

    def _memories_at(self, until: datetime) -> ContractMemories:
        """What contracts remember once the site has done, up to `until`, what it was last seen to do."""
        if not remembers(self.setup.book):
            return self.contract_memories
        last = SiteAsSeen(
            site=self.site,
            book=self.setup.book,
            points=self.setup.settlement_points,
            facts=self.facts,
            calls=self.calls,
            awards=self.awards,
            plan=self.plan,
            rigs_mw=metered_at_rigs({n: g.load_mw for n, g in self.fleet.items()}, self.rigs_mw(), self.metered_mw()),
            meter_mw=self.metered_mw(),
            hashrate_ph={name: now.hashrate_ph for name, now in self.fleet.items()},
            overhead=self.overhead,
        )
        return self.contract_memories.after(last, until)

    def after(self, entry: Entry, seq: int) -> State:
        """The state with `entry`, the journal's row `seq`. Raises TypeError for a kind of entry this version does not know."""
        state = replace(self, seq=seq, at=entry.at)
        if isinstance(entry, Seen):
            return state._after_seen(entry, self)
        if isinstance(entry, Planned):
            return state._after_planned(entry)
        if isinstance(entry, Commanded):
            return state._after_commanded(entry)
        if isinstance(entry, Done):
            return state._after_done(entry)
        if isinstance(entry, RunStarted):
            return state._after_start(entry)
        if isinstance(entry, RunEnded):
            return replace(state, contract_memories=ContractMemories(self.contract_memories.by_contract))
        if isinstance(entry, PriceBasisChanged):
            return replace(
                state, price_basis=entry.price_basis, price_basis_reason=entry.why, news=(*self.news, News(seq, entry.at, entry.why))
            )
        raise TypeError(f"{type(entry).__name__} is not a kind of entry this version knows")

    def _after_start(self, run: RunStarted) -> State:
        state = replace(self, run=run, news=(*self.news, News(self.seq, run.at, "the daemon started")))
        state = replace(state, fleet={name: now.after_restart() for name, now in self.fleet.items()}, open=())
        if run.config_hash == self.setup.hash_id:
            return replace(state, contract_memories=memories_at_start(run.memories, self.setup.book, self.contract_memories))
        # Another site file: what is known of a group stays only where it still has the same number of rigs and the same modes.
        setup, old = self.setup_from(run.config), {g.name: g for g in self.site.groups}
        fleet = {
            g.name: state.fleet[g.name]
            if g.name in old and (old[g.name].rigs, old[g.name].modes) == (g.rigs, g.modes)
            else GroupState.unseen(g.rigs)
            for g in setup.site.groups
        }
        renamed = renamed_contracts(self.setup.book, setup.book, self.renamed)
        return replace(
            state,
            setup=setup,
            fleet=fleet,
            renamed=renamed,
            calls=tuple(replace(c, obligation=renamed.get(c.obligation, c.obligation)) for c in self.calls),
            awards=tuple(replace(a, obligation=renamed.get(a.obligation, a.obligation)) for a in self.awards),
            plan=None,
            commanded=None,
            contract_memories=memories_at_start(run.memories, setup.book, ContractMemories(self.contract_memories.by_contract)),
        )

    def _after_seen(self, seen: Seen, before: State) -> State:
        fleet = dict(self.fleet)
        for name, reading in seen.fleet.items():
            fleet[name] = fleet[name].after_reading(self.site.group(name), reading, seen.at)
        awards = tuple(f for f in seen.facts if isinstance(f, Award))
        holds = {**self.holds, **{h.id: h for h in seen.holds}}
        facts, kept = self.facts.after(seen.facts), (*self.calls, *(f for f in seen.facts if isinstance(f, Call)))
        if before.at and before.at.date() != seen.at.date():
            facts, kept = facts.prune(seen.at - KEEP), not_long_over(kept, seen.at)
        alerts = {name: text for name, text in self.alerts.items() if name not in seen.sources_asked} | dict(seen.alerts)
        state = replace(
            self,
            facts=facts,
            fleet=fleet,
            calls=kept,
            awards=tuple(a for a in (*self.awards, *awards) if a.over.end > seen.at - KEEP_CALLS),
            holds={k: h for k, h in holds.items() if not (h.released or (h.until and h.until <= seen.at))},
            notice_mw=self._loads_at_notice(kept, seen.at),
            alerts=alerts,
            inbox_cursor=max(self.inbox_cursor, seen.inbox_cursor),
            seen_at=seen.at,
            contract_memories=before._memories_at(seen.at),
            meters=seen.meters,
            meters_at=seen.meters_at or seen.at,
            meter_doubts=seen.meter_doubts,
            generators=seen.generators,
        )
        # In the safe state no plan is made: the first one after it takes in all that happened, and the rigs wait for it.
        earlier = () if self.price_basis == PriceBasis.SAFE_STATE else self.news
        return replace(state, news=(*earlier, *(News(state.seq, seen.at, what) for what in what_is_new(before, state, seen))))

    def _after_planned(self, planned: Planned) -> State:
        news = tuple(n for n in self.news if n.seq > planned.as_of)
        if planned.plan is None:
            return replace(self, news=news, plan_failed=planned.failed)
        return replace(
            self,
            plan=cast(PlanDocument, planned.plan),
            plan_at=planned.at,
            plan_seq=self.seq,
            plan_as_of=planned.as_of,
            plan_failed="",
            news=news,
        )

    def _after_commanded(self, commanded: Commanded) -> State:
        fleet = dict(self.fleet)
        for order in commanded.orders:
            group = self.site.group(order.group)
            fleet[order.group] = fleet[order.group].after_order(order, mode_index(group, order.mode), commanded.at)
        alerts = {source: text for source, text in self.alerts.items() if not source.startswith((CONTRACT_ALERT, SHORTFALL_ALERT))}
        for promise, mw in commanded.shortfall_mw.items():
            alerts[SHORTFALL_ALERT + promise] = f"{promise} is missed by {mw:.3f} MW with every rig that obeys"
        for name, error in commanded.contract_failures.items():
            alerts[CONTRACT_ALERT + name] = f"contract {name!r} failed and its limits are left out: {error}"
        state = replace(self, fleet=fleet, alerts=alerts, commanded=commanded)
        return replace(state, open=(*self.open, *commanded.orders))

    def _after_done(self, done: Done) -> State:
        orders = {o.id: o for o in self.open}
        fleet = dict(self.fleet)
        for result in done.results:
            if (order := orders.pop(result.order, None)) is not None:
                fleet[order.group] = fleet[order.group].after_result(order, result, done.at)
        state = replace(self, fleet=fleet, done=done, open=tuple(orders.values()))
        return replace(state, meters=done.meters, meters_at=done.meters_at or done.at) if done.meters else state
