"""Offers for the market."""
