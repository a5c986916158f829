"""Load-modifying resource of MISO: load promised to be gone in an emergency, paid as capacity."""

from optimizer.obligations.lmr.contract import Lmr as Lmr
