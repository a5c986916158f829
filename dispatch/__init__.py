"""What the site does: the loop, the rigs, the journal, the API, the screens and the reports."""

from __future__ import annotations


class ConfigError(Exception):
    """The config is wrong. Carries every fault at once, each "file: key: what is wrong"."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        # Worker processes raise it too, and an exception is pickled by its text unless it says otherwise.
        return ConfigError, (self.faults,)
