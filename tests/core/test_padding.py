"""Lengthening a prompt: as close to the wanted tokens as a word allows, and the prompt as it was at the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.prompts import PromptError, padded
from spectui.core.prompts.padding import _BEFORE

LONGEST = 12
WORDS = st.text(alphabet="abcdefgh", min_size=1, max_size=LONGEST)
PARAGRAPHS = st.lists(st.lists(WORDS, min_size=1, max_size=9).map(" ".join), min_size=1, max_size=12)


def count(text: str) -> int:
    """Three letters are a token, as in a tokenizer that cuts words apart; a chat template takes five."""
    return 5 + sum(-(-len(word) // 3) for word in text.split())


def passages(text: str, prompt: str) -> list[str]:
    """The words that stand before the prompt, without what introduces it."""
    assert text.startswith(_BEFORE)
    return text.removesuffix(prompt).removeprefix(_BEFORE).rsplit("\n\nThen", 1)[0].split()


@given(PARAGRAPHS, st.lists(WORDS, min_size=1, max_size=5).map(" ".join), st.integers(0, 400), st.integers(0, 50))
def test_a_prompt_is_as_long_as_wanted_to_within_a_word(texts: list[str], prompt: str, more: int, seed: int) -> None:
    tokens = count(prompt) + more
    made = padded(prompt, "\n\n".join(texts), tokens, seed, count)
    assert made.text.endswith(prompt)
    assert made.tokens == count(made.text) <= tokens
    if made.text == prompt:
        assert more < count(f"{_BEFORE} Then do this:") + LONGEST
        assert not made.repeated
        return
    assert tokens - made.tokens < LONGEST / 3
    words, whole = passages(made.text, prompt), " ".join(texts).split()
    assert made.repeated == (len(words) > len(whole))
    starts = [" ".join(texts[at:] + texts[:at]).split() for at in range(len(texts))]
    assert any(words == (start * (len(words) // len(start) + 1))[: len(words)] for start in starts)


@settings(max_examples=30)
@given(st.integers(1, 100), st.integers(0, 1000))
def test_every_paragraph_is_begun_with_before_one_is_begun_with_again(paragraphs: int, first: int) -> None:
    padding = "\n\n".join(f"p{number} x" for number in range(paragraphs))
    begun = [
        padded("a", padding, 12, seed, lambda text: len(text.split())).text.split()[3]
        for seed in range(first, first + paragraphs)
    ]
    assert len(set(begun)) == paragraphs


def test_lines_stay_as_they_are() -> None:
    made = padded("Go.", "a b\n  c\n\nd", 11, 0, lambda text: len(text.split()))
    assert made.text == "First read this:\n\na b\n  c\n\nd\n\nThen do this:\n\nGo."
    assert not made.repeated
    assert padded("Go.", "a b\n  c\n\nd", 11, 1, lambda text: len(text.split())).text.startswith(f"{_BEFORE}d\n\na b")
    assert padded("Go.", "a b\n  c\n\nd", 12, 0, lambda text: len(text.split())).repeated


def test_a_long_context_is_counted_few_times() -> None:
    asked = []

    def counted(text: str) -> int:
        asked.append(len(text))
        return count(text)

    padding = "\n\n".join(f"{'word ' * (number % 40 + 1)}{'l' * (number % 13)}" for number in range(300))
    made = padded("a", padding, 32_768, 7, counted)
    assert made.repeated
    assert made.tokens > 32_760
    assert len(asked) < 25


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a b c", "d", 2, 0, lambda text: len(text.split())), "a prompt has 3 tokens, more than the 2 that it"),
        (("a", " \n\n ", 9, 0, lambda text: len(text.split())), "the padding has no text"),
        (("a", "b", 9, 0, lambda text: 3), "the padding cannot be counted"),
    ],
)
def test_what_cannot_be_padded_is_said(arguments: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        padded(*arguments)


def test_a_count_that_jumps_back_never_leads_above_what_was_wanted() -> None:
    """Some tokenizers join two words into one token."""

    def jumping(text: str) -> int:
        words = len(text.split())
        return words - 3 * (words % 7 == 0)

    for tokens in range(1, 80):
        made = padded("a", "b c d e f g h i j k", tokens, tokens, jumping)
        assert made.tokens == jumping(made.text) <= tokens
