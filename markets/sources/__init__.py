"""Sources: where facts come from, each a market's feed, a file or a generator of synthetic prices."""
