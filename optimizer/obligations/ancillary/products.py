"""The reserve products of ERCOT, and which kind of load may sell which (Nodal Protocols 3.16, 8.1.1.2)."""

from __future__ import annotations

from typing import Literal

DOWN = ("REGDN",)
Product = Literal["REGUP", "REGDN", "RRS", "RRSFFR", "RRSUFR", "ECRS", "NSPIN"]
# What each kind of load may sell; the parts of RRS that a frequency relay carries are named apart.
OF_KIND = {
    "clr": ("REGUP", "REGDN", "RRS", "RRSFFR", "ECRS", "NSPIN"),
    "nclr": ("RRSFFR", "RRSUFR", "ECRS", "NSPIN"),
}
ARMED = ("RRSFFR", "RRSUFR")
