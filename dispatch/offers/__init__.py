"""Offers for the market: reserve and energy of an operating day, and reductions of a season, as a QSE uploads them."""
