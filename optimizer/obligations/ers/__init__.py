"""ERCOT Emergency Response Service: a load paid to be there, and to go when called."""
