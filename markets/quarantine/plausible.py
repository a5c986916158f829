"""Which reported figures cannot be believed from one source alone, and why. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime

from markets import usd_text
from markets.facts import Fact, HashEconomics, HashPrice, IndicativePrices, IndicativeReservePrices, Price, ReservePrice, Temperature
from markets.grid import Market

# ERCOT offers stop at -$250 and -$251 has been settled; MISO offers stop at -$500, congestion goes below. A price two or three times lower
# is not plausible.
PRICE_FLOOR = {Market.ERCOT: -500.0, Market.MISO: -1500.0, Market.TARIFF: -500.0}
# In 15 years of mining with ASICs a petahash a second earned from $30 to $4,000 a day; bitcoin cost from $2 to $130,000.
HASHPRICE_USD = (0.5, 10_000.0)
BTC_USD = (0.01, 5_000_000.0)
# Reserve never clears below nothing. In February 2021 it cleared day-ahead at more than twice ERCOT's cap of energy offers.
RESERVE_FLOOR_USD = 0.0
RESERVE_OVER_ENERGY = 2.0
# The coldest and the hottest air measured in the states of ERCOT and MISO are -51 and 49 degrees.
AIR_CELSIUS = (-60.0, 60.0)
TARIFF = "tariff"  # the source of a site's own tariff: its owner wrote the figures


def price_cap(market: Market, at_s: int) -> float:
    """The highest plausible price, $/MWh: 1.5 x the market's cap on the date, because congestion exceeds the cap. Prices are never
    clipped."""
    on = datetime.fromtimestamp(at_s, UTC).date()
    if market is Market.MISO:
        # MISO's value of lost load: $3,500, from 2025-09-30 $10,000 (FERC ER25-579).
        return 1.5 * (10_000.0 if on >= date(2025, 9, 30) else 3_500.0)
    # ERCOT's high system-wide offer cap: $9,000 to the end of 2021 (its last evening is 2022-01-01 in UTC), then $5,000 (PUCT 52631).
    return 1.5 * (5_000.0 if on >= date(2022, 1, 2) else 9_000.0)


def implausible(fact: Fact) -> str:
    """Why a figure cannot be believed from one source alone, as a sentence; empty when it can."""
    if isinstance(fact, Price | IndicativePrices):
        return _implausible_price(fact)
    if isinstance(fact, ReservePrice | IndicativeReservePrices):
        return _implausible_reserve_price(fact)
    if isinstance(fact, HashPrice):
        if not HASHPRICE_USD[0] <= fact.usd_per_ph_day <= HASHPRICE_USD[1]:
            at = f"hashprice at {fact.over.start:%Y-%m-%dT%H:%MZ}"
            figure = f"{usd_text(fact.usd_per_ph_day)}/PH/day"
            return _sentence(f"{at}: {figure}", fact, f"{usd_text(HASHPRICE_USD[0])} to {usd_text(HASHPRICE_USD[1])}/PH/day")
    elif isinstance(fact, Temperature):
        if not AIR_CELSIUS[0] <= fact.celsius <= AIR_CELSIUS[1]:
            at = f"outside temperature at {fact.over.start:%Y-%m-%dT%H:%MZ}: {fact.celsius:g} C"
            return _sentence(at, fact, f"{AIR_CELSIUS[0]:g} to {AIR_CELSIUS[1]:g} C")
    elif isinstance(fact, HashEconomics) and not BTC_USD[0] <= fact.btc_usd <= BTC_USD[1]:
        return _sentence(f"BTC price of {fact.on}: {usd_text(fact.btc_usd)}", fact, f"{usd_text(BTC_USD[0])} to {usd_text(BTC_USD[1])}")
    return ""


def _implausible_price(fact: Price | IndicativePrices) -> str:
    # MISO's points have dots in their names (docs/reference/archive.md).
    market = Market.MISO if "." in fact.point else Market.ERCOT
    low, high = PRICE_FLOOR[market], price_cap(market, int(fact.over.start.timestamp()))
    prices, run = (fact.usd_per_mwh, "indicative") if isinstance(fact, IndicativePrices) else ((fact.usd_per_mwh,), fact.market.value)
    outside = [usd for usd in prices if not low <= usd <= high]
    if fact.source == TARIFF or not outside:
        return ""
    at = f"{fact.point} {run} at {fact.over.start:%Y-%m-%dT%H:%MZ}"
    return _sentence(f"{at}: {usd_text(outside[0])}/MWh", fact, f"{usd_text(low)} to {usd_text(high)}/MWh")


def _implausible_reserve_price(fact: ReservePrice | IndicativeReservePrices) -> str:
    # The product does not say whose market it is: the wider of the two bounds.
    high = RESERVE_OVER_ENERGY * max(price_cap(market, int(fact.over.start.timestamp())) for market in (Market.ERCOT, Market.MISO))
    prices, run = (fact.usd_per_mw_h, "indicative") if isinstance(fact, IndicativeReservePrices) else ((fact.usd_per_mw_h,), fact.market)
    outside = [usd for usd in prices if not RESERVE_FLOOR_USD <= usd <= high]
    if not outside:
        return ""
    figure = f"{fact.product} {run} at {fact.over.start:%Y-%m-%dT%H:%MZ}: {usd_text(outside[0])}/MW and hour"
    return _sentence(figure, fact, f"{usd_text(RESERVE_FLOOR_USD)} to {usd_text(high)}/MW and hour")


def _sentence(what: str, fact: Fact, bounds: str) -> str:
    return f"{what} from {fact.source} is outside {bounds}: not used until another source or a later publication gives the same figure"
