"""Which prompts race next, and the ids they become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spectui.events import Prompt


class PromptDeck:
    """A prompt set with a place in it; ``take(n)`` is the hand at that place, wrapping round at the end."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        if not prompts:
            raise ValueError("a prompt set needs at least one prompt")
        self._prompts = list(prompts)
        self._at = 0

    def take(self, count: int) -> tuple[Prompt, ...]:
        return tuple(self._prompts[(self._at + i) % len(self._prompts)] for i in range(count))

    def all(self) -> tuple[Prompt, ...]:
        """The whole set, from the current prompt on."""
        return self.take(len(self._prompts))

    def move(self, by: int) -> None:
        self._at = (self._at + by) % len(self._prompts)

    def next_category(self) -> None:
        """On to the first prompt of another category than the current one's; stays where there is none."""
        current, count = self._prompts[self._at].category, len(self._prompts)
        ahead = (self._at + i for i in range(1, count))
        self._at = next((at % count for at in ahead if self._prompts[at % count].category != current), self._at)

    def put_first(self, text: str) -> None:
        """The user's own text becomes the current prompt; the set goes on behind it."""
        self._prompts.insert(self._at, Prompt(text, category="yours"))


def chat_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of ``text`` as a user's message in the tokenizer's chat template, or as it stands without one."""
    if not getattr(tokenizer, "chat_template", None):
        return list(tokenizer.encode(text))
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
    )
    return list(tokenizer.encode(rendered, add_special_tokens=False))
