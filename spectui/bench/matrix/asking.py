"""A benchmark's prompts, as each lane and each block takes them."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from spectui.core.prompts import PromptError
from spectui.core.prompts.padding import padded
from spectui.errors import RunError
from spectui.protocol.events import Prompt
from spectui.runtime.quiet import say
from spectui.setup import prompt_sets
from spectui.setup.prompt_sets import first_turn
from spectui.sources.vllm.lane_spec import DIFFUSION

if TYPE_CHECKING:
    from spectui.sources.vllm.config import Chat
    from spectui.sources.vllm.lane import Lane

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt as the lanes get it.

    Attributes:
        prompt: The prompt, padding included.
        ids: Its token ids.
        own: Those of the lanes that have a tokenizer of their own, by lane.
    """

    prompt: Prompt
    ids: Sequence[int]
    own: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def ids_of(self, lane: str) -> Sequence[int]:
        """The token ids that a lane gets."""
        return self.own.get(lane, self.ids)


Sets = Mapping[tuple[str, int | None], Sequence[Asked]]
"""The prompts by category and context."""


def prompt_sets_of(
    lanes: Sequence[Lane],
    prompts: Sequence[Prompt],
    contexts: Sequence[int | None],
    chat: Chat,
    tokens: int,
    most_padded: int | None,
) -> tuple[Sets, bool]:
    """The prompts of every category and context that leave room for an answer, in a shuffled order that is always the
    same; and whether padding had to be repeated. How many prompts are left out is said.

    Args:
        lanes: The lanes.
        prompts: The prompts; of a conversation the first turn counts.
        contexts: What to pad them to, in tokens of the target; a lane with a tokenizer of its own gets the same text.
        chat: How they are passed to the model.
        tokens: The longest answer.
        most_padded: Padded prompts of a category that are needed, since padding takes time; None for all.

    Raises:
        RunError: No prompt of a category fits.
    """
    by_category: dict[str, list[Prompt]] = {}
    for prompt in prompts:
        by_category.setdefault(prompt.category, []).append(first_turn(prompt))
    for category, own in by_category.items():
        # So that the first prompts are a fair sample of short and long ones.
        random.Random(category).shuffle(own)
    asking = _Asking(lanes, chat, tokens)
    sets = {
        (category, context): asking.of(category, own, context, most_padded)
        for context in contexts
        for category, own in by_category.items()
    }
    if asking.left_out:
        say(asking.left_out)
    return sets, asking.repeated


class _Asking:
    """Turns prompts into token ids.

    Attributes:
        repeated: Whether padding had to be repeated.
    """

    def __init__(self, lanes: Sequence[Lane], chat: Chat, tokens: int) -> None:
        self._reader = next((lane for lane in lanes if lane.info.method != DIFFUSION), lanes[0])
        # A diffusion model has a tokenizer and a template of its own.
        self._others = [lane for lane in lanes if lane.info.method == DIFFUSION and lane is not self._reader]
        self._room = min(lane.max_model_len for lane in lanes)
        self._chat = chat
        self._tokens = tokens
        self._refused: dict[tuple[str, int], str] = {}
        self._long: set[tuple[str, int]] = set()
        self.repeated = False

    def of(self, category: str, prompts: Sequence[Prompt], context: int | None, most_padded: int | None) -> list[Asked]:
        """The prompts of a category that fit.

        Raises:
            RunError: None does.
        """
        from spectui.sources.vllm.prompting import PromptRefusedError

        asked: list[Asked] = []
        refused = ""
        short_enough = False
        for number, prompt in enumerate(prompts):
            if context is not None and len(asked) == most_padded:
                break
            try:
                one, again = self._asked(prompt, context, seed=number)
            except PromptRefusedError as error:
                refused = self._refused[category, number] = str(error)
                logger.warning("a prompt is left out: %s", error)
                continue
            short_enough |= one is not None
            if one is not None and max(map(len, (one.ids, *one.own.values()))) + self._tokens <= self._room:
                asked.append(one)
                self.repeated |= again
            else:
                self._long.add((category, number))
        if asked:
            return asked
        if refused and not short_enough:
            raise RunError(f"no prompt of category '{category}' can be sent: {refused}")
        if not short_enough:
            raise RunError(
                f"--context {context}: every prompt of category '{category}' is longer than that: use a larger "
                "--context, or shorter prompts"
            )
        raise RunError(
            f"no prompt of category '{category}' leaves room for {self._tokens} tokens in a context of "
            f"{self._room}: raise --engine-arg max_model_len, or lower --max-tokens"
        )

    def _asked(self, prompt: Prompt, context: int | None, *, seed: int) -> tuple[Asked | None, bool]:
        """The prompt as the lanes get it, and whether its padding was repeated; None if it is longer than ``context``.

        Raises:
            PromptRefusedError: A lane cannot take it.
        """
        from spectui.sources.vllm.prompting import prompt_ids

        def ids_of(lane: Lane, text: str) -> list[int]:
            return prompt_ids(lane, replace(prompt, text=text), self._chat)

        text, repeated = prompt.text, False
        if context is not None:
            try:
                made = padded(text, prompt_sets.padding(), context, seed, lambda text: len(ids_of(self._reader, text)))
            except PromptError:
                return None, False
            text, repeated = made.text, made.repeated
        own = {lane.info.name: ids_of(lane, text) for lane in self._others}
        return Asked(replace(prompt, text=text), ids_of(self._reader, text), own), repeated

    @property
    def left_out(self) -> str:
        """How many prompts are left out, in a sentence; empty if none are."""
        why = (
            (len(self._refused), "that the tokenizer or the chat template refuses"),
            (len(self._long), f"too long for a context, or for an answer of {self._tokens:,} tokens"),
        )
        parts = [f"{count:,} {what}" for count, what in why if count]
        return f"prompts left out: {', '.join(parts)}" if parts else ""
