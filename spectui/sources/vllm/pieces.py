"""The text of single tokens, right where a token holds only part of a character.

A token is a run of bytes; a character may span several tokens. Pieces are decoded in stream order with what is left
over from the token before, so the token that completes a character carries it whole. Of a tokenizer whose tokens' bytes
are not known the pieces are what its own decoding of the stream grows by.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.token_bytes import UNKNOWN, decoded, find_reading, special_ids, written_form

CONTEXT = 6
"""Tokens before a stream that its first piece is decoded behind: some tokenizers take the space from a first token."""

LONGEST_WAIT = 4
"""Tokens that a character may be made of: one for each of its bytes in UTF-8."""


class TokenTable:
    """What is known of the tokens of a tokenizer, each found once.

    Special tokens keep their written form.

    Attributes:
        knows_bytes: Whether `bytes_of` and `text_of` can be asked.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = special_ids(tokenizer)
        self._reading = find_reading(tokenizer, self._special)
        self.knows_bytes = self._reading is not None
        self._known: dict[int, bytes] = {}
        self._whole: dict[int, str] = {}

    def bytes_of(self, token_id: int) -> bytes:
        known = self._known.get(token_id)
        if known is None:
            known = self._known[token_id] = self._find(token_id)
        return known

    def text_of(self, token_id: int) -> str | None:
        """The token's text when its bytes are whole characters, else None."""
        text = self._whole.get(token_id)
        if text is None:
            try:
                text = self._whole[token_id] = self.bytes_of(token_id).decode()
            except UnicodeDecodeError:
                return None
        return text

    def decoded(self, token_ids: Sequence[int]) -> str | None:
        """What the tokenizer itself makes of ordinary tokens in a row, None where it fails over them."""
        return decoded(self._tokenizer, list(token_ids))

    def is_special(self, token_id: int) -> bool:
        return token_id in self._special

    def written(self, token_id: int) -> str:
        """The written form of a token."""
        token = written_form(self._tokenizer, token_id)
        return token.decode(errors="replace") if isinstance(token, bytes) else UNKNOWN if token is None else token

    def _find(self, token_id: int) -> bytes:
        if token_id not in self._special and self._reading is not None:
            try:
                with panics_as_errors():
                    return self._reading(token_id)
            except Exception:
                # Vocabularies have holes, and tokens that are written down in another way than the rest.
                pass
        return self.written(token_id).encode(errors="replace")


class PieceDecoder:
    """Decodes the tokens of one request in order.

    Args:
        table: The tokenizer's.
        context: The tokens before the first one.
    """

    def __init__(self, table: TokenTable, context: Sequence[int] = ()) -> None:
        self._table = table
        self._stream: _Bytes | _Decoding = (
            _Bytes(table) if table.knows_bytes else _Decoding(table, tuple(context[-CONTEXT:]))
        )

    def feed(self, token_ids: Iterable[int]) -> tuple[str, ...]:
        """The pieces of tokens that are now part of the stream."""
        pieces, self._stream = self._stream.after(token_ids)
        return pieces

    def peek(self, token_ids: Iterable[int]) -> tuple[str, ...]:
        """The pieces these tokens would have if they came next."""
        return self._stream.after(token_ids)[0]


class _Bytes:
    """A place in a stream of bytes: the begun character, if any."""

    def __init__(self, table: TokenTable, pending: bytes = b"") -> None:
        self._table = table
        self._pending = pending

    def after(self, token_ids: Iterable[int]) -> tuple[tuple[str, ...], _Bytes]:
        """The pieces of the next tokens, and the place behind them."""
        pieces: list[str] = []
        pending = self._pending
        for token_id in token_ids:
            text = None if pending else self._table.text_of(token_id)
            if text is None:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                text = decoder.decode(pending + self._table.bytes_of(token_id))
                pending = decoder.getstate()[0]
            pieces.append(text)
        return tuple(pieces), _Bytes(self._table, pending)


class _Decoding:
    """A place in a stream that the tokenizer decodes: tokens whose text is out, and those that wait for more.

    A piece is what the text grows by; a text that ends in the middle of a character waits. Decoding goes on behind some
    tokens before, as vLLM does it (``detokenize_incrementally``), since what a token looks like may depend on them.
    """

    def __init__(self, table: TokenTable, said: tuple[int, ...], waiting: tuple[int, ...] = ()) -> None:
        self._table = table
        self._said = said
        self._waiting = waiting

    def after(self, token_ids: Iterable[int]) -> tuple[tuple[str, ...], _Decoding]:
        """The pieces of the next tokens, and the place behind them."""
        pieces: list[str] = []
        said, waiting = self._said, self._waiting
        for token_id in token_ids:
            if self._table.is_special(token_id):
                pieces.append(UNKNOWN * bool(waiting) + self._table.written(token_id))
                waiting = ()
                continue
            before, text = self._table.decoded(said), self._table.decoded((*said, *waiting, token_id))
            if before is None:
                said, before, text = (), "", self._table.decoded((*waiting, token_id))
            if text is None:
                # It is none of the vocabulary's: nothing can be decoded behind it.
                pieces.append(UNKNOWN)
                continue
            waiting = (*waiting, token_id)
            if text.endswith(UNKNOWN) and len(waiting) < LONGEST_WAIT:
                pieces.append("")
                continue
            # What tidies up spaces may change the text before.
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, text, strict=False)))
            pieces.append(text[same:])
            said, waiting = (*said, *waiting)[-CONTEXT:], ()
        return tuple(pieces), _Decoding(self._table, said, waiting)
