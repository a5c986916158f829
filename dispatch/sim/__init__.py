"""The simulated site: physics of rigs, and a server that lets real clients talk to them."""
