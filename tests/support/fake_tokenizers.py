"""Small tokenizers that answer as those of the families in use do, with all their peculiarities, over one vocabulary.

What each does was read from vLLM 0.32 (``vllm/tokenizers``), transformers 5, mistral-common 1.13, tiktoken, and the
tokenizers that the checkpoints of Kimi and of the first Qwen bring along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

SPECIAL = ("<s>", "</s>", "[INST]")
WORDS = tuple(
    word.encode()
    for word in ("Hello", " wor", "ld", "!", " the", "  ", "\n", " na", "ïve", ".", " .", "日", " don", "'t", "a", " A")
)
PARTS = ("本".encode()[:2], "本".encode()[2:], b"\xf0\x9f", b"\x99\x82", b"\xff")
VOCABULARY = (*WORDS, *PARTS)
FIRST = len(SPECIAL)
"""The id of the first ordinary token, but where a tokenizer has its special ones behind the others."""

COUNT = FIRST + len(VOCABULARY)


def text_of(data: bytes) -> str:
    return data.decode(errors="replace")


def _alphabet() -> dict[int, str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(rest)}


class PanicException(BaseException):
    """Like pyo3's: no ``Exception``."""


class Tokenizer:
    """What all have in common; ``data`` gives an ordinary token's bytes."""

    def __len__(self) -> int:
        return COUNT

    @property
    def all_special_ids(self) -> list[int]:
        return list(range(FIRST))

    def data(self, token_id: int) -> bytes:
        return VOCABULARY[token_id - FIRST]

    def special(self, token_id: int) -> str | None:
        return SPECIAL[token_id] if token_id in self.all_special_ids else None

    def written(self, token_id: int) -> Any:
        raise NotImplementedError

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        done, run = "", b""
        for token_id in ids:
            if (special := self.special(token_id)) is None:
                run += self.data(token_id)
            elif not skip_special_tokens:
                done, run = done + text_of(run) + special, b""
        return done + text_of(run)


class HuggingFace(Tokenizer):
    """transformers' fast tokenizers: None for an id beyond the vocabulary."""

    @property
    def added_tokens_decoder(self) -> dict[int, str]:
        return dict(enumerate(SPECIAL))

    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> Any:
        return self._one(ids) if isinstance(ids, int) else [self._one(i) for i in ids]

    def _one(self, token_id: int) -> Any:
        if not 0 <= token_id < COUNT:
            return None
        return self.special(token_id) or self.written(token_id)


class ByteLevel(HuggingFace):
    def written(self, token_id: int) -> str:
        return "".join(map(_alphabet().__getitem__, self.data(token_id)))


class SentencePiece(HuggingFace):
    """With byte fallback; the first token loses its space."""

    def written(self, token_id: int) -> str:
        data = self.data(token_id)
        try:
            return data.decode().replace(" ", "▁")
        except UnicodeDecodeError:
            return f"<0x{data[0]:02X}>"

    def data(self, token_id: int) -> bytes:
        data = super().data(token_id)
        return data if data in WORDS else data[-1:]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return super().decode(ids, skip_special_tokens).removeprefix(" ")


class Tidy(ByteLevel):
    """Takes the space before punctuation away when it decodes (``clean_up_tokenization_spaces``)."""

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return super().decode(ids, skip_special_tokens).replace(" .", ".")


class Encoding:
    """tiktoken's: bytes of single tokens, an error for others."""

    def decode_single_token_bytes(self, token: int) -> bytes:
        if not 0 <= token < COUNT:
            raise KeyError(token)
        return VOCABULARY[token] if token < len(VOCABULARY) else SPECIAL[token - len(VOCABULARY)].encode()


class TikToken(Tokenizer):
    """A checkpoint's own tokenizer over tiktoken, with the special tokens behind the others."""

    @property
    def all_special_ids(self) -> list[int]:
        return list(range(len(VOCABULARY), COUNT))

    added_tokens_decoder: ClassVar[dict[int, str]] = dict(enumerate(SPECIAL, len(VOCABULARY)))

    def special(self, token_id: int) -> str | None:
        return self.added_tokens_decoder.get(token_id)

    def data(self, token_id: int) -> bytes:
        return VOCABULARY[token_id]

    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> Any:
        return self.written(ids) if isinstance(ids, int) else [self.written(i) for i in ids]


class Kimi(TikToken):
    """In GPT-2's alphabet, without a backend that would say so; special tokens too."""

    def __init__(self) -> None:
        self.model = Encoding()

    def written(self, token_id: int) -> str | None:
        if not 0 <= token_id < COUNT:
            return None
        return self.special(token_id) or "".join(map(_alphabet().__getitem__, self.data(token_id)))


class Alphabet(Kimi):
    """The same without its encoding at hand."""

    def __init__(self) -> None:
        return


class Qwen(TikToken):
    """The first Qwen: bytes as tokens, and an error for an unknown one."""

    def written(self, token_id: int) -> str | bytes:
        if not 0 <= token_id < COUNT:
            raise ValueError("unknown ids")
        return self.special(token_id) or self.data(token_id)


class Latin(TikToken):
    """Bytes as Latin-1, its encoding under a name of its own."""

    def __init__(self) -> None:
        self._enc = Encoding()

    def written(self, token_id: int) -> str:
        try:
            return self._enc.decode_single_token_bytes(token_id).decode("latin-1")
        except KeyError:
            return "<|unk|>"


class Shifted(Kimi):
    """Has an encoding whose ids are not its own: what it says must not be believed."""

    class Other(Encoding):
        def decode_single_token_bytes(self, token: int) -> bytes:
            return super().decode_single_token_bytes((token + 1) % COUNT)

    def __init__(self) -> None:
        self.model = Shifted.Other()


class Tekken:
    """Mistral's: special tokens first, one of the bytes of a character is a replacement character."""

    def id_to_piece(self, token_id: int) -> str:
        if not 0 <= token_id < COUNT:
            raise KeyError(token_id)
        return SPECIAL[token_id] if token_id < FIRST else text_of(VOCABULARY[token_id - FIRST])

    def id_to_byte_piece(self, token_id: int) -> bytes:
        self.id_to_piece(token_id)
        return b"" if token_id < FIRST else VOCABULARY[token_id - FIRST]


class Mistral(Tokenizer):
    """vLLM's wrapper: no added tokens to be asked for, and lists of ids only."""

    def __init__(self) -> None:
        self.tokenizer = Tekken()

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[Any]:
        return [self.written(token_id) for token_id in ids]

    def written(self, token_id: int) -> str:
        return self.tokenizer.id_to_piece(token_id)


class MistralSentencePiece(Mistral):
    """The older ones: pieces as they are written where special tokens are to be kept."""

    def __init__(self) -> None:
        self._pieces = SentencePiece()

    def written(self, token_id: int) -> str:
        if not 0 <= token_id < COUNT:
            raise IndexError("piece id is out of range.")
        return str(self._pieces.convert_ids_to_tokens(token_id))

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        if not skip_special_tokens:
            return "".join(map(self.written, ids))
        return self._pieces.decode(ids, skip_special_tokens=True)


class MistralInTransformers(Mistral):
    @property
    def added_tokens_decoder(self) -> dict[int, str]:
        raise NotImplementedError("`MistralCommonBackend` does not implement `added_tokens_decoder`.")


class WordPiece(HuggingFace):
    """Words with spaces between them, of which no token has any: no run of bytes at all."""

    WORDS = ("play", "##ing", "the", "piano", "##s", "now")

    def __len__(self) -> int:
        return FIRST + len(self.WORDS)

    def written(self, token_id: int) -> str:
        return self.WORDS[token_id - FIRST]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        words = [self.written(i) for i in ids if i >= FIRST or not skip_special_tokens]
        return " ".join(words).replace(" ##", "")


class Strange(Tokenizer):
    """Writes its tokens down in a way that nobody knows, and panics at ids beyond its vocabulary."""

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        return [self.special(token_id) or f"token {self.checked(token_id)}" for token_id in ids]

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        return super().decode([self.checked(token_id) for token_id in ids], skip_special_tokens)

    def checked(self, token_id: int) -> int:
        if not 0 <= token_id < COUNT:
            raise PanicException("index out of bounds")
        return token_id
