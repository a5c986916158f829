"""Contracts: one a file; a contract that needs more is a folder of its own."""
