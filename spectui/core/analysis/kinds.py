"""The kind of a token, decided by its text.

A digit makes a number and a letter makes a word, with or without a space before it. Whether a word starts or continues
shows in what stands before it: some tokenizers put the space into the token, and after a bracket or a new line there is
none. A token without text is a piece of a character that takes several, which are rarely Latin: it counts as non-Latin
script, as do emoji.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from spectui.protocol.steps import id_text


class Kind(IntEnum):
    """The kinds of tokens, in the order in which they are shown."""

    START = 0
    CONTINUATION = 1
    NUMBER = 2
    PUNCTUATION = 3
    SPACE = 4
    SYMBOL = 5
    SPECIAL = 6
    SCRIPT = 7


NAMES = {
    Kind.START: "word starts",
    Kind.CONTINUATION: "word continuations",
    Kind.NUMBER: "numbers",
    Kind.PUNCTUATION: "punctuation",
    Kind.SPACE: "white space and indentation",
    Kind.SYMBOL: "code symbols",
    Kind.SPECIAL: "special tokens",
    Kind.SCRIPT: "non-Latin script",
}
"""What the screen calls them."""

_SPECIAL = re.compile(
    r"\s*(<[|\uff5c].*[|\uff5c]>|</?s>|\[/?[A-Z][A-Z_]+\]|<(pad|unk|bos|eos|mask|cls|sep|start_of_turn|end_of_turn)>"
    r"|</?(think|tool_call|tool_response)>)\s*",
    re.DOTALL,
)
_PROSE = frozenset(".,;:!?'\"()-")
"""ASCII characters of prose; every other one that is neither letter nor digit is a code symbol."""

_JOINERS = "'\u2019_"
"""A word goes on behind these."""

_LAST_LATIN = 0x24F
_LATIN_AGAIN = range(0x1E00, 0x1F00)


def kind_of(text: str) -> Kind:
    """The kind of a token that follows a letter or is the first; see `starts_word` for one that does not."""
    if not text:
        return Kind.SCRIPT
    if _SPECIAL.fullmatch(text):
        return Kind.SPECIAL
    core = text.strip()
    if not core:
        return Kind.SPACE
    letters = [char for char in core if char.isalpha() or unicodedata.category(char).startswith("M")]
    if any(not _latin(char) for char in letters) or "\ufffd" in core:
        return Kind.SCRIPT
    if letters:
        return Kind.CONTINUATION if text[0].isalpha() or text[0] in _JOINERS else Kind.START
    if any(char.isnumeric() for char in core):
        return Kind.NUMBER
    if any(unicodedata.category(char) in ("So", "Sk", "Cn", "Co", "Cs") and not char.isascii() for char in core):
        return Kind.SCRIPT
    return Kind.PUNCTUATION if _prose(core) else Kind.SYMBOL


def _latin(char: str) -> bool:
    return ord(char) <= _LAST_LATIN or ord(char) in _LATIN_AGAIN or 0x300 <= ord(char) < 0x370


def _prose(core: str) -> bool:
    """Whether all of it is punctuation of prose; brackets beside quotes or other brackets, as in ``("``, are code."""
    if not all(char in _PROSE or (not char.isascii() and unicodedata.category(char)[0] == "P") for char in core):
        return False
    brackets = sum(char in "()" for char in core)
    return not brackets or (brackets == 1 and not any(char in "'\":-" for char in core))


def kinds_of(
    ids: NDArray[np.int32], before: NDArray[np.int32], texts: Mapping[int, str], ends: Collection[int]
) -> NDArray[np.int8]:
    """The kind of every token.

    Args:
        ids: The tokens; -1 is unknown and has the kind -1, as has a token whose text is not known.
        before: The token before each; -1 if that is unknown.
        texts: The text of each token.
        ends: Tokens that end an answer, whatever their text.
    """
    known, place = np.unique(ids, return_inverse=True)
    table = np.array(
        [
            -1 if token < 0 else Kind.SPECIAL if token in ends else _kind(token, texts.get(token, ""))
            for token in known.tolist()
        ],
        dtype=np.int8,
    )
    kinds: NDArray[np.int8] = table[place]
    known, place = np.unique(before, return_inverse=True)
    open_word = np.array(
        [token < 0 or texts.get(token) == id_text(token) or _goes_on(texts.get(token, "")) for token in known.tolist()],
        dtype=bool,
    )
    kinds[(kinds == Kind.CONTINUATION) & ~open_word[place]] = Kind.START
    return kinds


def _kind(token: int, text: str) -> int:
    return -1 if text == id_text(token) else kind_of(text)


def _goes_on(text: str) -> bool:
    """Whether a word can go on behind this text."""
    return not text or text[-1].isalnum() or text[-1] in _JOINERS
