"""What the site does: the loop, the rigs, the journal, the API, the screens and the reports."""


class ConfigError(Exception):
    """The config is wrong. Carries every fault at once, each "file: key: what is wrong"."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
