"""Lengthens prompts with running text, for measuring with long contexts.

Random tokens would not do: a drafter guesses text as people write it, and what it guesses depends on what came before.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from spectui.core.prompts.rows import PromptError

_BEFORE = "First read this:\n\n"
_AFTER = "\n\nThen do this:\n\n"
_GOLDEN = (math.sqrt(5) - 1) / 2


class Padded(NamedTuple):
    """A lengthened prompt.

    Attributes:
        text: Passages, then the prompt as it was; the prompt alone if there is no room for a word before it.
        tokens: What it counts.
        repeated: Whether it has passages twice, because the padding is too short.
    """

    text: str
    tokens: int
    repeated: bool


def padded(prompt: str, padding: str, tokens: int, seed: int, count: Callable[[str], int]) -> Padded:
    """Put as much of ``padding`` before the prompt as fits: one word more would count more than ``tokens``.

    ``count`` gives the tokens of a text as the model gets it, chat template and all. The passages begin at a paragraph
    that depends on ``seed``, a different one for as many consecutive seeds as there are paragraphs, and are cut between
    words. After the last paragraph the first follows.

    Raises:
        PromptError: The prompt alone has more tokens, or there is nothing to put before it.
    """
    alone = count(prompt)
    if alone > tokens:
        raise PromptError(f"a prompt has {alone} tokens, more than the {tokens} that it should be padded to")
    passages = _Passages(padding, seed)

    def text(words: int) -> str:
        return f"{_BEFORE}{passages.first(words)}{_AFTER}{prompt}"

    words, counted = _most(tokens, lambda words: count(text(words)))
    if not words:
        return Padded(prompt, alone, repeated=False)
    return Padded(text(words), counted, repeated=words > passages.words)


class _Passages:
    """The padding from one of its paragraphs on, round and round."""

    def __init__(self, padding: str, seed: int) -> None:
        paragraphs = [paragraph.strip("\n") for paragraph in re.split(r"\n\s*\n", padding) if paragraph.strip()]
        if not paragraphs:
            raise PromptError("the padding has no text")
        at = _start(seed, len(paragraphs))
        self._round = "\n\n".join(paragraphs[at:] + paragraphs[:at])
        self._ends = [word.end() for word in re.finditer(r"\S+", self._round)]

    @property
    def words(self) -> int:
        return len(self._ends)

    def first(self, words: int) -> str:
        """As many words, in the lines in which they stand."""
        rounds, rest = divmod(words, len(self._ends))
        parts = [self._round] * rounds
        if rest:
            parts.append(self._round[: self._ends[rest - 1]])
        return "\n\n".join(parts)


def _start(seed: int, paragraphs: int) -> int:
    """Spread the starts of consecutive seeds as the golden ratio does, so that neighbours share little; the step has no
    common divisor with the number of paragraphs, so that each comes once before any comes again."""
    step = max(1, round(paragraphs * _GOLDEN))
    while math.gcd(step, paragraphs) > 1:
        step += 1
    return seed * step % paragraphs


def _most(tokens: int, counted: Callable[[int], int]) -> tuple[int, int]:
    """The most words with which a text does not count more than ``tokens``, and what it counts with them; both are 0 if
    one word is too many.

    Counting a long text takes time, so guesses between the bounds are interpolated; every other one halves what is
    left, which bounds their number.
    """
    low, at_low = 0, 0
    high, at_high = 1, counted(1)
    while at_high <= tokens:
        low, at_low = high, at_high
        high *= 2 if high > 1 else max(2, tokens)
        at_high = counted(high)
        if at_high <= at_low:
            raise PromptError("the padding cannot be counted: more words do not make more tokens")
    halve = low == 0
    while high - low > 1:
        share = 0.5 if halve else (tokens - at_low) / (at_high - at_low)
        middle = min(max(low + int((high - low) * share), low + 1), high - 1)
        found = counted(middle)
        if found <= tokens:
            low, at_low = middle, found
        else:
            high, at_high = middle, found
        halve = not halve
    return low, at_low
