"""The training prompts: how many, how different, and apart from what is held out."""

from collections import Counter

from demos.drafters.prompts import CATEGORIES, heldout_prompts, openings, training_prompts
from demos.drafters.prompts.sections import read_passages, read_sections
from demos.drafters.recipe import DEFAULT
from spectui.setup.prompt_sets import builtin


def key(text: str) -> str:
    return " ".join(text.lower().split())


def test_the_default_recipe_has_enough_different_prompts() -> None:
    prompts = training_prompts(DEFAULT.template_prompts)
    assert len(prompts) >= 3000
    assert len({key(p.text) for p in prompts}) == len(prompts)
    counts = Counter(p.category for p in prompts)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) >= len(prompts) // len(CATEGORIES)


def test_the_same_seed_gives_the_same_prompts() -> None:
    assert training_prompts(200, seed=3) == training_prompts(200, seed=3)
    assert training_prompts(200, seed=3) != training_prompts(200, seed=4)


def test_ten_prompts_of_each_category_are_held_out() -> None:
    heldout = heldout_prompts()
    assert Counter(p.category for p in heldout) == dict.fromkeys(CATEGORIES, 10)
    assert len({key(p.text) for p in heldout}) == len(heldout)


def test_no_training_prompt_is_held_out_or_built_in() -> None:
    training = {key(p.text) for p in training_prompts(DEFAULT.template_prompts)}
    assert not training & {key(p.text) for p in heldout_prompts()}
    assert not training & {key(p.text) for p in builtin()}


def test_held_out_documents_share_no_long_passage_with_the_training_ones() -> None:
    def runs(text: str) -> set[tuple[str, ...]]:
        words = key(text).split()
        return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}

    training = set().union(*(runs(p.text) for p in training_prompts(DEFAULT.template_prompts)))
    for prompt in heldout_prompts():
        assert not runs(prompt.text) & training, prompt.text


def test_every_field_is_filled() -> None:
    fields = {name for category in CATEGORIES for name in read_sections(category)} | {"passage", "question", "title"}
    for prompt in training_prompts(2000):
        assert not [name for name in fields if f"{{{name}}}" in prompt.text], prompt.text


def test_every_passage_has_questions() -> None:
    passages = read_passages()
    assert len(passages) >= 40
    assert all(p.title and len(p.text.split()) > 50 and len(p.questions) >= 2 for p in passages)


def test_the_target_may_start_from_nothing() -> None:
    assert openings()[0] == ""
    assert len(openings()) > 50
