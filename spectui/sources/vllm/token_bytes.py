"""Finds out which bytes a token stands for, for tokenizers of any family.

Tokenizers write their tokens in different ways, and none says which. So every known way is tried on some pairs of
tokens, and a way is trusted if it agrees with how the tokenizer itself decodes them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from spectui.sources.vllm.foreign import panics_as_errors

logger = logging.getLogger(__name__)

Reading = Callable[[int], bytes]
"""Returns the bytes of an ordinary token; may raise anything if it cannot."""

UNKNOWN = "\ufffd"
"""Stands for an unknown token."""

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_TRIED = 96
"""Tokens that a reading is tried on, spread over the vocabulary."""

_AGREES = 0.9
"""Share of the token pairs that must agree before a reading is trusted: some tokenizers tidy up spaces when they
decode."""

_INNER = ((), ("tokenizer",), ("tokenizer", "instruct_tokenizer", "tokenizer"))
"""Where tokenizers keep the inner one that they wrap: Mistral's in vLLM, and the same in transformers."""


def special_ids(tokenizer: Any) -> frozenset[int]:
    """Tokens with a written form of their own, which is shown as it is."""
    found: set[int] = set()
    for name in ("all_special_ids", "added_tokens_decoder"):
        try:
            found.update(getattr(tokenizer, name))
        except Exception:
            # Mistral's tokenizer has no added tokens, and says so differently in each library that provides it.
            logger.debug("the tokenizer has no %s", name)
    return frozenset(found)


def written_form(tokenizer: Any, token_id: int) -> str | bytes | None:
    """A token as the tokenizer writes it; None if it does not know the token."""
    try:
        with panics_as_errors():
            # A list, because not every tokenizer accepts a single id.
            (token,) = tokenizer.convert_ids_to_tokens([token_id])
    except Exception:
        return None
    return token if isinstance(token, str | bytes) else None


def decoded(tokenizer: Any, token_ids: list[int]) -> str | None:
    """How the tokenizer itself decodes a sequence of ordinary tokens; None if it fails."""
    try:
        with panics_as_errors():
            # If it kept special tokens, Mistral's tokenizer would return written forms instead of text.
            return str(tokenizer.decode(token_ids, skip_special_tokens=True))
    except Exception:
        return None


def find_reading(tokenizer: Any, special: frozenset[int]) -> Reading | None:
    """How to read this tokenizer's tokens; None if no known way agrees with how it decodes."""
    tried = _ordinary_ids(tokenizer, special)
    return next((reading for reading in _readings(tokenizer) if _agrees(reading, tokenizer, tried)), None)


def _readings(tokenizer: Any) -> Iterator[Reading]:
    """Every known way; those that ask for bytes come before those that read written forms."""
    for part in _parts(tokenizer):
        if hasattr(type(part), "id_to_byte_piece"):  # Mistral's Tekken.
            yield part.id_to_byte_piece
        if hasattr(type(part), "decode_single_token_bytes"):  # tiktoken.
            yield part.decode_single_token_bytes
    yield lambda token_id: _from_alphabet(written_form(tokenizer, token_id))
    yield lambda token_id: _from_sentencepiece(written_form(tokenizer, token_id))


def _parts(tokenizer: Any) -> Iterator[Any]:
    """The parts of the tokenizer, whatever they are called."""
    for path in _INNER:
        part = tokenizer
        for name in path:
            part = getattr(part, name, None)
        if part is not None:
            yield part
    yield from list(getattr(tokenizer, "__dict__", {}).values())


def _from_alphabet(token: str | bytes | None) -> bytes:
    """Byte-level BPE in GPT-2's printable alphabet (Llama 3, Qwen, SmolLM, Kimi), or plain bytes (the first Qwen)."""
    if isinstance(token, bytes):
        return token
    if token is None:
        raise KeyError(token)
    return bytes(_BYTE_OF_CHAR[char] for char in token)


def _from_sentencepiece(token: str | bytes | None) -> bytes:
    """SentencePiece with byte fallback: ``<0x0A>``, and ``▁`` for a space (Gemma, Llama 2, older Mistral)."""
    if not isinstance(token, str):
        raise KeyError(token)
    if match := _BYTE_TOKEN.fullmatch(token):
        return bytes([int(match[1], 16)])
    return token.replace("▁", " ").encode()


def _ordinary_ids(tokenizer: Any, special: frozenset[int]) -> list[int]:
    count = 0
    for size in (lambda: len(tokenizer), lambda: tokenizer.vocab_size):
        try:
            count = max(count, int(size()))
        except Exception:
            logger.debug("the tokenizer does not say in this way how many tokens it has")
    ordinary = [token_id for token_id in range(count) if token_id not in special]
    return ordinary[:: max(1, len(ordinary) // _TRIED)]


def _agrees(reading: Reading, tokenizer: Any, token_ids: list[int]) -> bool:
    """Whether the tokenizer decodes pairs of tokens to what the reading says.

    Pairs are used because many tokenizers put spaces between tokens or drop the first one's; that first space is
    ignored.
    """
    right = judged = 0
    for pair in pairwise(token_ids):
        own = decoded(tokenizer, list(pair))
        if own is None or UNKNOWN in own:
            # Holes in the vocabulary, or parts of characters, about which a text says nothing.
            continue
        judged += 1
        try:
            with panics_as_errors():
                right += b"".join(map(reading, pair)).decode().strip() == own.strip()
        except Exception:
            continue
    return judged > 0 and right >= _AGREES * judged


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's map from printable characters to bytes: printable Latin-1 stands for itself, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    rest = (byte for byte in range(256) if byte not in set(printable))
    alphabet.update({chr(0x100 + i): byte for i, byte in enumerate(rest)})
    return alphabet


_BYTE_OF_CHAR = _byte_alphabet()
