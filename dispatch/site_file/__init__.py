"""Site file: TOML to a Setup, every fault at once."""
