"""The vocabulary in pieces that fit into packets, for viewers without the model's tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import accumulate

from spectui.wire.messages import PACKET_BYTES, AskWords, Reply, Words

logger = logging.getLogger(__name__)

MOST_WORDS = 2_048
"""Words in a piece at most."""


class Vocabulary:
    """The bytes of every token, or why there are none."""

    def __init__(self, words: list[bytes], special: list[int], why: str = "") -> None:
        self._words = words
        self._special = special
        self._why = why

    @classmethod
    def withheld(cls) -> Vocabulary:
        """None, because text may not leave the server."""
        return cls([], [], "the server keeps its vocabulary to itself: start it with SPECTUI_REDACTION=text")

    @classmethod
    def read(cls, words: Callable[[], tuple[list[bytes], list[int]]]) -> Vocabulary:
        """Ask for all of it. A hundred thousand words take some tenths of a second of the interpreter, so that is done
        once and while the server starts, and not when a viewer comes."""
        try:
            found, special = words()
        except Exception as error:
            # A tokenizer is foreign code, and the server does not depend on this one.
            logger.warning("SpecTUI: the vocabulary cannot be read, so viewers need the model's tokenizer: %s", error)
            return cls([], [], "the server could not read its tokenizer: its log says why")
        return cls(found, sorted(special))

    def piece(self, ask: AskWords) -> Words | Reply:
        """What answers ``ask``."""
        if not self._words:
            return Reply(ask.number, False, self._why)
        if not 0 <= ask.first < len(self._words):
            return Reply(ask.number, False, f"the vocabulary has {len(self._words)} tokens")
        part = self._words[ask.first : ask.first + MOST_WORDS]
        # Each word has up to five bytes in front of it.
        sizes = accumulate(len(word) + 5 for word in part)
        part = part[: max(1, sum(size <= PACKET_BYTES for size in sizes))]
        last = ask.first + len(part)
        special = [number for number in self._special if ask.first <= number < last]
        return Words(ask.number, ask.first, len(self._words), part, special)
