"""Contracts: one a file; one that needs more is a folder. No contract imports another."""

# Types of the contracts that every book holds, whether the site file writes them or not: before and after those that are written.
ALWAYS_BEFORE = ("hashing", "power")
ALWAYS_AFTER = ("plant", "transition")
