"""The text of single tokens, correct even if a token holds only part of a character.

A token is a run of bytes, and a character may span several tokens. Pieces are decoded in stream order together with the
bytes left over from the previous token, so the token that completes a character carries all of it. If a tokenizer's
bytes are not known, a piece is what the token adds to the tokenizer's own decoding of the stream.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from spectui.sources.vllm.foreign import panics_as_errors
from spectui.sources.vllm.token_bytes import UNKNOWN, decoded, find_reading, special_ids, written_form

CONTEXT = 6
"""Tokens before a stream that provide context for its first piece: some tokenizers drop the space of a first token."""

LONGEST_WAIT = 4
"""Most tokens that a character may consist of: one for each of its UTF-8 bytes."""


class TokenTable:
    """What is known about a tokenizer's tokens; each is looked up once.

    Special tokens keep their written form.

    Attributes:
        knows_bytes: Whether `bytes_of` and `text_of` may be called.
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
        """The token's text if its bytes are whole characters, else None."""
        text = self._whole.get(token_id)
        if text is None:
            try:
                text = self._whole[token_id] = self.bytes_of(token_id).decode()
            except UnicodeDecodeError:
                return None
        return text

    def decoded(self, token_ids: Sequence[int]) -> str | None:
        """How the tokenizer itself decodes a sequence of ordinary tokens; None if it fails."""
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
                # Vocabularies have holes, and tokens that are written differently from the rest.
                pass
        return self.written(token_id).encode(errors="replace")


class PieceDecoder:
    """Decodes the tokens of one request in order.

    Args:
        table: The tokenizer's table.
        context: The tokens before the first one.
    """

    def __init__(self, table: TokenTable, context: Sequence[int] = ()) -> None:
        self._table = table
        self._stream: _Bytes | _Decoding = (
            _Bytes(table) if table.knows_bytes else _Decoding(table, tuple(context[-CONTEXT:]))
        )

    @classmethod
    def behind(cls, table: TokenTable, token_ids: Sequence[int]) -> PieceDecoder:
        """A decoder of what follows a text, which may end in the middle of a character."""
        decoder = cls(table, token_ids)
        if table.knows_bytes:
            decoder.feed(token_ids[-LONGEST_WAIT:])
        return decoder

    def feed(self, token_ids: Iterable[int]) -> tuple[str, ...]:
        """The pieces of tokens that become part of the stream."""
        pieces, self._stream = self._stream.after(token_ids)
        return pieces

    def peek(self, token_ids: Iterable[int]) -> tuple[str, ...]:
        """The pieces that these tokens would have if they came next."""
        return self._stream.after(token_ids)[0]


class _Bytes:
    """A position in a stream of bytes: the incomplete character, if any."""

    def __init__(self, table: TokenTable, pending: bytes = b"") -> None:
        self._table = table
        self._pending = pending

    def after(self, token_ids: Iterable[int]) -> tuple[tuple[str, ...], _Bytes]:
        """The pieces of the next tokens, and the position after them."""
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
    """A position in a stream that the tokenizer decodes: the tokens already output, and those that wait for more.

    A piece is the text that its token adds; a text that ends in the middle of a character waits. As in vLLM
    (``detokenize_incrementally``), some earlier tokens are decoded along, because a token's text may depend on them.
    """

    def __init__(self, table: TokenTable, said: tuple[int, ...], waiting: tuple[int, ...] = ()) -> None:
        self._table = table
        self._said = said
        self._waiting = waiting

    def after(self, token_ids: Iterable[int]) -> tuple[tuple[str, ...], _Decoding]:
        """The pieces of the next tokens, and the position after them."""
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
                # The token is not in the vocabulary, so nothing can be decoded after it.
                pieces.append(UNKNOWN)
                continue
            waiting = (*waiting, token_id)
            if text.endswith(UNKNOWN) and len(waiting) < LONGEST_WAIT:
                pieces.append("")
                continue
            # A tokenizer that tidies up spaces may change the text before.
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, text, strict=False)))
            pieces.append(text[same:])
            said, waiting = (*said, *waiting)[-CONTEXT:], ()
        return tuple(pieces), _Decoding(self._table, said, waiting)
