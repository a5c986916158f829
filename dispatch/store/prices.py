"""The bitemporal price tables: the prices of the journal's Seen rows. A correction is a new row with a later `known_at`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, Table, func, insert, select

from dispatch.store.tables import hashprices, prices, reading, reserve_prices
from markets.facts import Fact, HashPrice, Price, PriceMarket, ReservePrice
from markets.grid import Interval


def price_rows(seq: int, facts: Iterable[Fact]) -> Iterator[tuple[Table, dict[str, Any]]]:
    """The table rows of the prices in a Seen at `seq`. Figures are the shortest decimal text of the number."""
    for nth, fact in enumerate(facts):
        if not isinstance(fact, (Price, ReservePrice, HashPrice)):
            continue
        row = {"seq": seq, "nth": nth, "start": fact.over.start, "end": fact.over.end, "source": fact.source, "known_at": fact.known_at}
        if isinstance(fact, Price):
            yield prices, {**row, "point": fact.point, "market": fact.market.value, "usd_per_mwh": repr(float(fact.usd_per_mwh))}
        elif isinstance(fact, ReservePrice):
            yield reserve_prices, {**row, "product": fact.product, "market": fact.market, "usd_per_mw_h": repr(float(fact.usd_per_mw_h))}
        else:
            yield hashprices, {**row, "basis": fact.basis, "usd_per_ph_day": repr(float(fact.usd_per_ph_day))}


def write_price_rows(connection: Connection, seq: int, facts: Sequence[Fact]) -> None:
    """Write the price rows of a Seen, in the transaction that writes it to the journal."""
    by_table: dict[Table, list[dict[str, Any]]] = {}
    for table, row in price_rows(seq, facts):
        by_table.setdefault(table, []).append(row)
    for table, rows in by_table.items():
        connection.execute(insert(table), rows)


def price_vintages(engine: Engine, point: str, market: PriceMarket, over: Interval, known_at: datetime | None = None) -> tuple[Price, ...]:
    """Every vintage of each interval that touches `over` known at `known_at` (all there is when None), by start, the older first."""
    rows = _known(engine, select(prices).where(prices.c.point == point, prices.c.market == market.value), prices, over, known_at)
    return tuple(
        Price(
            source=r.source,
            known_at=r.known_at,
            point=r.point,
            market=PriceMarket(r.market),
            over=Interval(r.start, r.end),
            usd_per_mwh=float(r.usd_per_mwh),
        )
        for r in rows
    )


def reserve_prices_known(
    engine: Engine, product: str, market: str, over: Interval, known_at: datetime | None = None
) -> tuple[ReservePrice, ...]:
    """The newest vintage of each interval that touches `over`, as it was known at `known_at` (all there is when None), by start; `market`
    is "DAM" or "REAL_TIME_15_MIN"."""
    wanted = select(reserve_prices).where(reserve_prices.c.product == product, reserve_prices.c.market == market)
    return tuple(
        ReservePrice(
            source=r.source,
            known_at=r.known_at,
            product=r.product,
            market=r.market,
            over=Interval(r.start, r.end),
            usd_per_mw_h=float(r.usd_per_mw_h),
        )
        for r in _newest(engine, wanted, reserve_prices, over, known_at)
    )


def hashprices_known(engine: Engine, over: Interval, known_at: datetime | None = None) -> tuple[HashPrice, ...]:
    """As `reserve_prices_known`, for the hashprice."""
    return tuple(
        HashPrice(
            source=r.source, known_at=r.known_at, over=Interval(r.start, r.end), usd_per_ph_day=float(r.usd_per_ph_day), basis=r.basis
        )
        for r in _newest(engine, select(hashprices), hashprices, over, known_at)
    )


def _newest(engine: Engine, wanted: Select[Any], table: Table, over: Interval, known_at: datetime | None) -> list[Any]:
    return list({(r.start, r.end): r for r in _known(engine, wanted, table, over, known_at)}.values())


def _known(engine: Engine, wanted: Select[Any], table: Table, over: Interval, known_at: datetime | None) -> list[Any]:
    columns = table.c
    wanted = wanted.where(columns.start < over.end, columns.end > over.start)
    if known_at is not None:
        wanted = wanted.where(columns.known_at <= known_at)
    with reading(engine) as connection:
        return list(connection.execute(wanted.order_by(columns.start, columns.known_at, columns.seq, columns.nth)).all())


def last_price_seq(engine: Engine) -> int:
    """The journal seq of the newest price row; 0 when there is none. Raises LedgerUnavailable."""
    with reading(engine) as connection:
        return int(connection.execute(select(func.max(prices.c.seq))).scalar() or 0)


def intervals_repriced_since(engine: Engine, seq: int, before: datetime) -> list[datetime]:
    """The starts of the intervals before an instant whose price, of energy or reserve, was learned after journal row `seq`, in order.
    Raises LedgerUnavailable."""
    wanted = [select(t.c.start).where(t.c.seq > seq, t.c.start < before).distinct() for t in (prices, reserve_prices)]
    with reading(engine) as connection:
        return sorted({start for query in wanted for start in connection.execute(query).scalars()})


def first_repriced_since(engine: Engine, seq: int, before: datetime) -> datetime | None:
    """The start of the first interval before an instant whose price, of energy, reserve or hashing, was learned after journal row `seq`;
    None when there is none. Raises LedgerUnavailable."""
    wanted = [select(func.min(t.c.start)).where(t.c.seq > seq, t.c.start < before) for t in (prices, reserve_prices, hashprices)]
    with reading(engine) as connection:
        found = [connection.execute(query).scalar() for query in wanted]
    return min((start for start in found if start is not None), default=None)
