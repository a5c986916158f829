"""ERCOT Emergency Response Service: a load that is paid to be available, and is dropped when called."""
