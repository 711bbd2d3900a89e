"""The text of single tokens, for every family of tokenizers."""

from __future__ import annotations

from typing import Any

import pytest

from spectui.sources.vllm.pieces import PieceDecoder, TokenTable
from tests.support import fake_tokenizers as fake

KNOWN = (
    fake.ByteLevel,
    fake.SentencePiece,
    fake.Tidy,
    fake.Kimi,
    fake.Alphabet,
    fake.Qwen,
    fake.Latin,
    fake.Shifted,
    fake.Mistral,
    fake.MistralSentencePiece,
    fake.MistralInTransformers,
)
DATA = [b"Hello", b" wor", b"ld", b"!", b"  ", b" the", b"\n", b" na", "ïve".encode(), "日".encode()]


def ids_of(tokenizer: Any, *tokens: bytes | str) -> list[int]:
    """Bytes are ordinary tokens, texts special ones."""
    special, first = tokenizer.all_special_ids, 0 if tokenizer.all_special_ids[0] else fake.FIRST
    return [
        special[fake.SPECIAL.index(one)] if isinstance(one, str) else first + fake.VOCABULARY.index(one)
        for one in tokens
    ]


def fed(tokenizer: Any, *tokens: bytes | str) -> list[str]:
    return list(PieceDecoder(TokenTable(tokenizer)).feed(ids_of(tokenizer, *tokens)))


@pytest.mark.parametrize("family", KNOWN)
def test_a_piece_is_the_text_that_the_token_stands_for(family: Any) -> None:
    assert TokenTable(family()).knows_bytes
    assert fed(family(), *DATA) == [one.decode() for one in DATA]


@pytest.mark.parametrize("family", [*KNOWN, fake.Strange])
def test_special_tokens_keep_their_written_form(family: Any) -> None:
    assert fed(family(), "[INST]", b"Hello", "</s>") == ["[INST]", "Hello", "</s>"]


@pytest.mark.parametrize("family", [family for family in KNOWN if "SentencePiece" not in family.__name__])
def test_the_token_that_completes_a_character_carries_it_whole(family: Any) -> None:
    tokens = fake.PARTS[:4]
    assert fed(family(), *tokens) == ["", "本", "", "🙂"]
    assert fed(family(), fake.PARTS[0], b"a", fake.PARTS[4], b"a") == ["", "\ufffda", "\ufffd", "a"]


@pytest.mark.parametrize("family", [fake.SentencePiece, fake.MistralSentencePiece])
def test_bytes_of_sentencepiece_make_up_characters_too(family: Any) -> None:
    tokenizer = family()
    (first,) = ids_of(tokenizer, fake.PARTS[4])
    assert TokenTable(tokenizer).bytes_of(first) == b"\xff"


@pytest.mark.parametrize("family", [*KNOWN, fake.Strange])
@pytest.mark.parametrize("token_id", [-1, fake.COUNT, 1 << 40])
def test_a_token_that_nobody_knows_is_a_replacement_character(family: Any, token_id: int) -> None:
    tokenizer = family()
    (hello,) = ids_of(tokenizer, b"Hello")
    assert PieceDecoder(TokenTable(tokenizer)).feed((hello, token_id, hello)) == (
        "Hello",
        "<|unk|>" if family is fake.Latin else "\ufffd",
        "Hello",
    )


def test_an_encoding_whose_ids_are_not_the_tokenizer_s_is_not_believed() -> None:
    tokenizer = fake.Shifted()
    (hello,) = ids_of(tokenizer, b"Hello")
    assert tokenizer.model.decode_single_token_bytes(hello) == b" wor"
    assert TokenTable(tokenizer).bytes_of(hello) == b"Hello"


def test_where_no_bytes_are_known_pieces_are_what_the_tokenizer_s_own_decoding_grows_by() -> None:
    table = TokenTable(fake.WordPiece())
    assert not table.knows_bytes
    decoder = PieceDecoder(table)
    assert decoder.feed((3, 4, 5)) == ("play", "ing", " the")
    assert decoder.peek((6, 7, 8)) == (" piano", "s", " now")
    assert decoder.peek((4,)) == ("ing",)
    assert decoder.feed((6, 7, 1, 8)) == (" piano", "s", "</s>", " now")


def test_such_pieces_are_those_of_bytes_where_both_can_be_had() -> None:
    strange, known = TokenTable(fake.Strange()), TokenTable(fake.ByteLevel())
    assert (strange.knows_bytes, known.knows_bytes) == (False, True)
    tokens = (*fake.VOCABULARY[:-1], *fake.VOCABULARY[-2::-1][4:], "</s>", b"Hello", *fake.PARTS[2:4], b"a")
    ids = ids_of(fake.Strange(), *tokens)
    one, other = PieceDecoder(strange), PieceDecoder(known)
    for start in range(0, len(ids), 3):
        assert one.peek(ids[start : start + 5]) == other.peek(ids[start : start + 5])
        assert one.feed(ids[start : start + 3]) == other.feed(ids[start : start + 3])


@pytest.mark.parametrize("family", [fake.ByteLevel, fake.Strange])
def test_a_text_may_go_on_from_the_middle_of_a_character(family: Any) -> None:
    table, (first, second, hello) = TokenTable(family()), ids_of(family(), *fake.PARTS[:2], b"Hello")
    assert PieceDecoder.behind(table, (hello, hello, first)).feed((second, hello)) == ("本", "Hello")
    assert PieceDecoder.behind(table, (hello, first, second)).feed((hello,)) == ("Hello",)
    assert PieceDecoder.behind(table, ()).feed((hello,)) == ("Hello",)


def test_such_a_decoding_does_not_wait_for_ever() -> None:
    pieces = fed(fake.Strange(), *[fake.PARTS[4]] * 9, b"a")
    assert "".join(pieces) == "\ufffd" * 9 + "a"
    assert pieces[3] == "\ufffd" * 4


def test_the_first_piece_of_an_answer_keeps_its_space() -> None:
    class Strange(fake.Strange):
        def decode(self, ids: Any, skip_special_tokens: bool = False) -> str:
            return super().decode(ids, skip_special_tokens).removeprefix(" ")

    tokenizer = Strange()
    hello, the = ids_of(tokenizer, b"Hello", b" the")
    assert PieceDecoder(TokenTable(tokenizer), (hello,)).feed((the,)) == (" the",)
    assert PieceDecoder(TokenTable(tokenizer), (fake.COUNT,)).feed((the, hello)) == ("the", "Hello")
