"""The simulated site: physics of rigs, and servers that real clients can talk to."""
