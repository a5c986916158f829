"""Load-modifying resource of MISO: load promised to be dropped in an emergency, paid as capacity."""

from optimizer.obligations.lmr.contract import Lmr as Lmr
