"""Hashprice formulas (docs/rules.md#hashprice), exact in their units. Pure: the optimizer, the archive and the live sources use them."""

from __future__ import annotations

import math

BLOCKS_PER_HALVING = 210_000
BLOCK_S = 600.0
HASHES_PER_DIFFICULTY = 2.0**32
SATS_PER_BTC = 100_000_000


def subsidy_btc(height: int) -> float:
    """New bitcoin in the block at `height`: 50 halved every 210,000 blocks, in whole satoshi. Raises ValueError below zero."""
    if height < 0:
        raise ValueError(f"block height {height} is below zero")
    return (50 * SATS_PER_BTC >> height // BLOCKS_PER_HALVING) / SATS_PER_BTC


def network_hashrate_eh(difficulty: float) -> float:
    """The network's hashrate at ten-minute blocks, EH/s."""
    return _positive("difficulty", difficulty) * HASHES_PER_DIFFICULTY / BLOCK_S / 1e18


def btc_per_ph_day(difficulty: float, fees_btc_per_block: float, subsidy_btc: float) -> float:
    """What one PH/s mines in a day in expectation, BTC/PH/day, before the pool's fee."""
    if not math.isfinite(fees_btc_per_block) or fees_btc_per_block < 0:
        raise ValueError(f"fees of {fees_btc_per_block} BTC per block cannot be")
    blocks_per_ph_day = 1e15 * 86_400 / (_positive("difficulty", difficulty) * HASHES_PER_DIFFICULTY)
    return blocks_per_ph_day * (subsidy_btc + fees_btc_per_block)


def usd_per_ph_day(difficulty: float, btc_usd: float, fees_btc_per_block: float, subsidy_btc: float) -> float:
    """Hashprice, $/PH/day, before the pool's fee. Raises ValueError for a difficulty or price that is not above zero."""
    return btc_per_ph_day(difficulty, fees_btc_per_block, subsidy_btc) * _positive("btc_usd", btc_usd)


def breakeven_usd_per_mwh(usd_per_ph_day: float, j_per_th: float) -> float:
    """The energy price at which hashing just pays its power: 1 PH/s at e J/TH draws e kW. Use the wall's J/TH, fans and supply included."""
    return usd_per_ph_day * 1000.0 / (24.0 * _positive("j_per_th", j_per_th))


def _positive(name: str, value: float) -> float:
    # mempool reports 0 for both difficulty and hashrate while its node is down (docs/rules.md#hashprice).
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} is {value}: it must be above zero")
    return value
