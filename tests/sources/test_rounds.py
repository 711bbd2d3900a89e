"""A prompt set with a place in it."""

import pytest

from spectui.core.prompts import PromptError
from spectui.protocol.events import Prompt
from spectui.sources.vllm.rounds import PromptDeck

SET = [Prompt(text, category) for text, category in (("a", "one"), ("b", "one"), ("c", "two"), ("d", "one"))]


def test_it_moves_through_prompts_and_categories_and_wraps_round() -> None:
    deck = PromptDeck(SET)
    seen = []
    for _ in range(4):
        seen.append(deck.take(1)[0].text)
        deck.next_category()
    assert "".join(seen) == "acdc"
    deck.move(-1)
    assert [prompt.text for prompt in deck.take(3)] == ["c", "d", "a"]


def test_with_one_category_it_stays_and_without_prompts_it_is_refused() -> None:
    deck = PromptDeck(SET[:2])
    deck.next_category()
    assert deck.take(1)[0].text == "a"
    with pytest.raises(ValueError, match="at least one prompt"):
        PromptDeck([])


def test_a_typed_text_is_the_current_prompt_until_it_is_taken_back() -> None:
    deck = PromptDeck(SET, system="Be kind.")
    deck.move(3)
    deck.put_first("typed")
    assert [(prompt.text, prompt.category) for prompt in deck.take(2)] == [("typed", "yours"), ("d", "one")]
    deck.take_back()
    assert [prompt.text for prompt in deck.take(2)] == ["d", "a"]
    with pytest.raises(PromptError, match=r"your text: the prompt has half a surrogate pair \(\\udc80\)"):
        deck.put_first("a\udc80")
    assert len(deck.all()) == len(SET)
