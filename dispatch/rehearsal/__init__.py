"""Rehearsal: a built-in dispatch desk plays call scenarios against a simulated site, and each passes or fails by what was asked."""
