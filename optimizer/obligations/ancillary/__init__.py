"""Ancillary services of a controllable or an interruptible load in ERCOT."""
