"""Rehearsals of call scenarios."""
