"""A first site file: groups proposed from a scan, answers to a dozen questions, and the TOML text of both."""
