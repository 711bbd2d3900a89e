"""The text of single tokens, right where a token holds only part of a character.

A token is a run of bytes; a character may span several tokens. Pieces are decoded in stream order with what is left
over from the token before, so the token that completes a character carries it whole.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenTable:
    """Bytes of every token id of a tokenizer, found once an id.

    Knows the two families in use: byte-level BPE (GPT-2's printable alphabet: Llama 3, Qwen, SmolLM) and
    SentencePiece with byte fallback (``<0x0A>``, ``▁`` for a space: Gemma). Special tokens keep their written form.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._token_of = tokenizer.convert_ids_to_tokens
        self._special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        self._byte_level = _is_byte_level(tokenizer)
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

    def _find(self, token_id: int) -> bytes:
        token = self._token_of(token_id)
        if token is None:
            return "\ufffd".encode()
        if token_id in self._special:
            return str(token).encode()
        if self._byte_level:
            return bytes(_BYTE_OF_CHAR[c] for c in token if c in _BYTE_OF_CHAR)
        if match := _BYTE_TOKEN.fullmatch(token):
            return bytes([int(match[1], 16)])
        return str(token).replace("▁", " ").encode()


class PieceDecoder:
    """Decodes the tokens of one request in order."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._pending = b""

    def feed(self, token_ids: Iterable[int]) -> tuple[str, ...]:
        """The pieces of tokens that are now part of the stream."""
        pieces, self._pending = self._decode(token_ids)
        return pieces

    def peek(self, token_ids: Iterable[int]) -> tuple[str, ...]:
        """The pieces these tokens would have if they came next."""
        return self._decode(token_ids)[0]

    def _decode(self, token_ids: Iterable[int]) -> tuple[tuple[str, ...], bytes]:
        pieces: list[str] = []
        pending = self._pending
        for token_id in token_ids:
            text = None if pending else self._table.text_of(token_id)
            if text is None:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                text = decoder.decode(pending + self._table.bytes_of(token_id))
                pending = decoder.getstate()[0]
            pieces.append(text)
        return tuple(pieces), pending


def _is_byte_level(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return False
    return '"ByteLevel"' in json.dumps(json.loads(backend.to_str()).get("decoder"))


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's map from printable characters to bytes: printable Latin-1 stands for itself, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet = {chr(byte): byte for byte in printable}
    rest = (byte for byte in range(256) if byte not in set(printable))
    alphabet.update({chr(0x100 + i): byte for i, byte in enumerate(rest)})
    return alphabet


_BYTE_OF_CHAR = _byte_alphabet()
