"""Chooses which prompts race next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spectui.core.prompts import prompt_of, with_system
from spectui.protocol.events import Prompt


class PromptDeck:
    """A prompt set with a current position; ``take(n)`` returns the next n prompts, wrapping around at the end.

    ``system`` is the system message for prompts that the user types.
    """

    def __init__(self, prompts: Sequence[Prompt], system: str | None = None) -> None:
        if not prompts:
            raise ValueError("a prompt set needs at least one prompt")
        self._prompts = list(prompts)
        self._system = system
        self._at = 0

    def take(self, count: int) -> tuple[Prompt, ...]:
        return tuple(self._prompts[(self._at + i) % len(self._prompts)] for i in range(count))

    def all(self) -> tuple[Prompt, ...]:
        """The whole set, from the current prompt on."""
        return self.take(len(self._prompts))

    def move(self, by: int) -> None:
        self._at = (self._at + by) % len(self._prompts)

    def next_category(self) -> None:
        """Move to the first prompt of a different category; stay if there is none."""
        current, count = self._prompts[self._at].category, len(self._prompts)
        ahead = (self._at + i for i in range(1, count))
        self._at = next((at % count for at in ahead if self._prompts[at % count].category != current), self._at)

    def put_first(self, text: str) -> None:
        """Make the user's text the current prompt; the set continues after it.

        Raises:
            PromptError: It cannot be raced.
        """
        typed = replace(prompt_of(text, "your text"), category="yours")
        self._prompts.insert(self._at, typed if self._system is None else with_system(typed, self._system))

    def take_back(self) -> None:
        """Remove the current prompt: the next one takes its place."""
        if len(self._prompts) > 1:
            del self._prompts[self._at]
            self._at %= len(self._prompts)
