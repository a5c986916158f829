"""Settlement: a day or a month settled from journal, roll-ups, meters and prices."""
