"""Questions of a command whose answers are flags: what no flag says is asked for at a terminal, and named all at once elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.prompt import Confirm, FloatPrompt, Prompt

from dispatch.commands import WRONG, Ended


class Questions:
    """Asks at a terminal; without one it takes defaults and collects the flags that are missing."""

    def __init__(self, *, at_terminal: bool) -> None:
        self.at_terminal = at_terminal
        self._missing: list[tuple[str, str]] = []

    def text(self, flag: str, given: str | None, question: str, default: str | None = None) -> str:
        return str(self._answer(flag, given, default, "", question, Prompt.ask))

    def number(self, flag: str, given: float | None, question: str, default: float | None = None) -> float:
        return float(self._answer(flag, given, default, 0.0, question, FloatPrompt.ask))

    def one_of(self, flag: str, given: str | None, question: str, options: Sequence[str], default: str | None = None) -> str:
        """Raises Ended when the flag has another value."""
        if given is not None and given not in options:
            raise Ended(WRONG, f"{flag}: {given!r} is not one of {', '.join(options)}")
        return str(self._answer(flag, given, default, options[0], question, Prompt.ask, choices=list(options)))

    def all_answered(self) -> None:
        """Raises Ended with every flag that is missing."""
        if self._missing:
            raise Ended(WRONG, *(f"{flag} is missing: {question}" for flag, question in self._missing))

    def need(self, flag: str, question: str) -> None:
        """Note a flag that has to be given."""
        self._missing.append((flag, question))

    def confirm(self, question: str) -> bool:
        """Yes or no, no by default; no without a terminal."""
        return self.at_terminal and Confirm.ask(question, console=Console(stderr=True), default=False)

    def _answer(self, flag: str, given: Any, default: Any, stand_in: Any, question: str, asked: Callable[..., Any], **how: Any) -> Any:
        if given is not None:
            return given
        if self.at_terminal:
            usual = {} if default is None else {"default": default, "show_default": default != ""}
            return asked(question, console=Console(stderr=True), **usual, **how)
        if default is None:
            self.need(flag, question)
            return stand_in
        return default
