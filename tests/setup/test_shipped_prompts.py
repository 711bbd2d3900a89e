"""The prompts that ship with SpecTUI: enough of each kind, all different, and none that lanes cannot take."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from demos.drafters.prompts import heldout_prompts, training_prompts
from demos.drafters.recipe import DEFAULT
from spectui.core.prompts import PromptError, padded
from spectui.protocol.events import Prompt
from spectui.setup.prompt_sets import benchmark_set, builtin, padding

SPEED_BENCH = (
    *("coding", "math", "writing", "roleplay", "summarization", "qa", "rag"),
    *("reasoning", "stem", "humanities", "multilingual"),
)
WITHOUT_SPACES = "multilingual"
"""Words are not counted there: some of its scripts put no spaces between them."""

MOST_TOKENS = 1200
"""Of a prompt by the demo target's tokenizer: with its answer it must fit into the 2048 tokens of a demo lane."""


def texts(prompts: tuple[Prompt, ...]) -> list[str]:
    return [prompt.text for prompt in prompts]


def plain(text: str) -> str:
    return " ".join(text.lower().split())


def runs(text: str, length: int) -> list[tuple[str, ...]]:
    """All passages of so many words."""
    words = plain(text).split()
    return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]


def added() -> list[str]:
    raced = set(texts(builtin()))
    return [text for text in texts(benchmark_set()) if text not in raced]


def test_each_category_has_enough_short_and_long_prompts() -> None:
    whole, short, long = (Counter(p.category for p in benchmark_set(length=of)) for of in (None, "short", "long"))
    assert tuple(whole) == tuple(short) == tuple(long) == SPEED_BENCH
    assert min(whole.values()) >= 20
    assert min(short.values()) >= 12
    assert min(long.values()) >= 6
    assert short + long == whole


def test_the_race_keeps_to_four_of_each_category() -> None:
    """Racers go from category to category with few presses of a key, and `tune` draws from every one in its time."""
    assert Counter(p.category for p in builtin()) == dict.fromkeys(SPEED_BENCH, 4)


@pytest.mark.parametrize("category", SPEED_BENCH)
def test_a_category_begins_with_what_is_raced_and_ends_with_the_long_ones(category: str) -> None:
    whole = benchmark_set(category)
    assert texts(whole)[:4] == texts(builtin(category))
    assert texts(whole) == texts(benchmark_set(category, "short")) + texts(benchmark_set(category, "long"))
    assert [(p.index, p.count) for p in whole] == [(i, len(whole)) for i in range(len(whole))]
    assert not [p for p in whole if p.before or p.later]


def test_an_unknown_category_is_refused() -> None:
    with pytest.raises(PromptError, match="unknown category 'poetry': choose from coding, math"):
        benchmark_set("poetry", "long")


def test_no_two_prompts_are_alike() -> None:
    prompts = texts(benchmark_set())
    assert len({plain(text)[:48] for text in prompts}) == len(prompts)
    passages = Counter(passage for text in prompts for passage in set(runs(text, 10)))
    assert not [passage for passage, count in passages.items() if count > 1]


def test_short_prompts_are_short_and_long_ones_long() -> None:
    assert max(len(text.split()) for text in texts(benchmark_set(length="short"))) <= 60
    counted = [p.text for p in benchmark_set(length="long") if p.category != WITHOUT_SPACES]
    assert min(len(text.split()) for text in counted) >= 250
    assert max(len(text.split()) for text in counted) <= 700
    assert min(len(text.encode()) for text in texts(benchmark_set(WITHOUT_SPACES, "long"))) >= 1400


def test_many_languages_and_scripts_are_asked_for() -> None:
    text = "".join(texts(benchmark_set("multilingual")))
    some = "の的Дاह한γßñçł"
    assert not [letter for letter in some if letter not in text]


def test_no_added_prompt_was_trained_on() -> None:
    """The demo drafters would draft better there than elsewhere."""
    trained = training_prompts(DEFAULT.template_prompts)
    passages = {passage for prompt in trained for passage in runs(prompt.text, 8)}
    assert not [text for text in added() if not passages.isdisjoint(runs(text, 8))]
    assert not {plain(p.text) for p in (*trained, *heldout_prompts())} & {plain(text) for text in added()}


def test_every_prompt_leaves_room_for_an_answer(demo_model: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(demo_model / "tokenizer.json"))
    lengths = {text: len(tokenizer.encode(text).ids) for text in texts(benchmark_set())}
    assert not [text[:48] for text, length in lengths.items() if length > MOST_TOKENS]


def test_the_padding_is_long_and_repeats_nothing() -> None:
    text = padding()
    assert len(text) >= 60_000
    assert not [passage for passage, count in Counter(runs(text, 10)).items() if count > 1]
    assert "```python" in text
    assert "|---|" in text


def test_prompts_are_padded_to_within_a_word_by_the_demo_tokenizer(demo_model: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer: Any = Tokenizer.from_file(str(demo_model / "tokenizer.json"))
    for seed, (prompt, tokens) in enumerate(
        zip(benchmark_set()[::40], (1024, 1536, 2048, 4096, 8192, 24_576), strict=True)
    ):
        made = padded(prompt.text, padding(), tokens, seed, lambda text: len(tokenizer.encode(text).ids))
        assert tokens - 16 <= made.tokens <= tokens
        assert made.repeated == (tokens > 20_000)
