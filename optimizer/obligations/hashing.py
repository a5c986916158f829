"""Hashrate sold to a pool at hashprice, less the pool's fee.

Market rules: docs/rules.md#hashprice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from optimizer.domain.contract import Contract
from optimizer.domain.formula import Charge, Quantities
from optimizer.domain.site import Fraction

RULE = "Pool payout: hashprice x PH/s-days, difficulty and fees of the day (FPPS); fee as a share of it"


class Hashing(Contract):
    """What the pool pays.

    pool_fee   share of the payout the pool keeps
    """

    type: ClassVar[str] = "hashing"
    charge_types: ClassVar[tuple[str, ...]] = ("hash_revenue", "pool_fee")
    name: str = "hashing"
    takes_pool_fee: ClassVar[bool] = True
    pool_fee: Fraction = 0.0
    rule: str = RULE

    def charges(self, its: Quantities[Any]) -> Iterable[Charge[Any]]:
        hashed = its.sum([its.hash_ph_days(name) * (its.number(1) - its.hashed_apart(name)) for name in self.scope.names(its.site)])
        price = its.hashprice()
        yield Charge("hash_revenue", hashed, "ph_day", price, self.rule)
        if self.pool_fee:
            yield Charge("pool_fee", hashed, "ph_day", np.asarray(-price * its.number(self.pool_fee)), self.rule)
