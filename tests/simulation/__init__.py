"""Deterministic simulation: the whole service on a virtual clock, with faults drawn from a seed at every port (docs/determinism.md)."""
