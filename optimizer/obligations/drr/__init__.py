"""Demand response resource of MISO: a reduction that MISO dispatches like a generator, against a declared baseline."""

from optimizer.obligations.drr.contract import Drr as Drr
