"""Entries of every kind, for hypothesis and by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from dispatch.entries import ENTRY_KINDS, Entry, Planned, PriceBasisChanged, Seen
from markets.facts import FACT_KINDS, Fact, HashPrice, Price, PriceMarket, ReservePrice
from markets.grid import Interval

AT = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER = Interval(AT, AT + timedelta(minutes=15))

instants = st.datetimes(datetime(2011, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC))
numbers = st.floats(allow_nan=False, allow_infinity=False)
intervals = st.builds(lambda at, s: Interval(at, at + timedelta(seconds=s)), instants, st.integers(1, 10**7))
texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(texts, values, max_size=4)

for kind, strategy in ((float, numbers), (datetime, instants), (Interval, intervals), (str, texts)):
    st.register_type_strategy(kind, strategy)
st.register_type_strategy(Mapping, lambda kind: st.dictionaries(*map(st.from_type, kind.__args__), max_size=3))

facts = st.one_of([st.builds(kind) for kind in FACT_KINDS.values()])
_special = {
    "Seen": st.builds(Seen, facts=st.lists(facts, max_size=4).map(tuple)),
    "Planned": st.builds(Planned, plan=st.none() | documents),
    "RunStarted": st.builds(ENTRY_KINDS["RunStarted"], config=documents),
}
entries: st.SearchStrategy[Entry] = st.one_of([_special.get(name, st.builds(kind)) for name, kind in ENTRY_KINDS.items()])


def held(n: int) -> PriceBasisChanged:
    return PriceBasisChanged(at=AT + timedelta(minutes=5 * n), price_basis="persistence", why=f"step {n}")


def priced(*usd_per_mwh: float, known_at: datetime = AT) -> Seen:
    facts: list[Fact] = [
        Price(source="test", known_at=known_at, point=f"P{n}", market=PriceMarket.REAL_TIME_15_MIN, over=QUARTER, usd_per_mwh=usd)
        for n, usd in enumerate(usd_per_mwh)
    ]
    reserve = ReservePrice(source="test", known_at=known_at, product="ECRS", market="DAM", over=QUARTER, usd_per_mw_h=3.25)
    mined = HashPrice(source="test", known_at=known_at, over=QUARTER, usd_per_ph_day=45.1, basis="fixed")
    return Seen(at=known_at, facts=(*facts, reserve, mined))
