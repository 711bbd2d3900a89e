"""A vocabulary as its server sends it, in parts, where the server lets texts leave."""

from __future__ import annotations

from collections.abc import Sequence

from spectui.sources.attached.sense import known_words
from spectui.wire.messages import Words

MOST_BYTES = 64 << 20
"""Bytes of a whole vocabulary."""

LONGEST_WORD = 1_024
"""Bytes of one token."""


class ServerWords:
    """Collects the parts in order, as an answer to one question after the other.

    Attributes:
        size: Tokens of the vocabulary; None until the first part is there.
        whole: Whether all parts are there.
    """

    def __init__(self) -> None:
        self._words: list[bytes] = []
        self._special: set[int] = set()
        self._bytes = 0
        self.size: int | None = None

    @property
    def next(self) -> int:
        """The first id that is missing."""
        return len(self._words)

    @property
    def whole(self) -> bool:
        return self.size is not None and len(self._words) >= self.size

    def take(self, part: Words) -> bool:
        """Add the next part; False if it makes no sense."""
        if not known_words(part) or part.first != self.next or self.size not in (None, part.size):
            return False
        self._bytes += sum(map(len, part.words))
        if self._bytes > MOST_BYTES or any(len(word) > LONGEST_WORD for word in part.words):
            return False
        if not all(0 <= token < part.size for token in part.special):
            return False
        self.size = part.size
        self._words.extend(part.words)
        self._special.update(part.special)
        return True

    def tokenizer(self) -> WordsTokenizer:
        """What reads the tokens."""
        return WordsTokenizer(self._words, self._special)


class WordsTokenizer:
    """As much of a tokenizer as `spectui.sources.vllm.pieces.TokenTable` asks for, from the bytes of the tokens."""

    def __init__(self, words: Sequence[bytes], special: set[int]) -> None:
        self._words = words
        self.all_special_ids = sorted(special)

    def __len__(self) -> int:
        return len(self._words)

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of an ordinary token."""
        return self._words[token]

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        """The written forms of tokens."""
        return [self._words[token].decode(errors="replace") for token in ids]

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of tokens."""
        special = set(self.all_special_ids) if skip_special_tokens else ()
        return b"".join(self._words[token] for token in ids if token not in special).decode(errors="replace")
